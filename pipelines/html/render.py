"""A page of HTML in one file: figures, tables and text without external assets.

A page is a template that begins with ``{% extends "base.html" %}`` and fills the
blocks ``lead`` and ``main``; :func:`pipelines.html.svg.as_svg` gives its figures, which it puts into
``<figure>`` with ``{{ svg | safe }}`` and a ``<figcaption>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.html.svg import share_glyphs

TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, *, folder: Path = TEMPLATES, **values: Any) -> str:
    """Fill a template.

    Args:
        template: name of a file of the folder.
        folder: of the template; :data:`TEMPLATES`, which holds ``base.html``, unless given.
        values: what it names; text is escaped unless the template says ``safe``.

    Raises:
        jinja2.UndefinedError: the template names a value that is not given.
    """
    import jinja2  # only where a page is written

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return share_glyphs(environment.get_template(template).render(**values))
