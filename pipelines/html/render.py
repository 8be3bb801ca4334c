"""HTML pages in one file: figures, tables and text without external assets.

The template of a page begins with ``{% extends "base.html" %}`` and fills the blocks ``lead`` and
``main``. :func:`pipelines.html.svg.as_svg` returns its figures, which the template inserts into a
``<figure>`` with ``{{ svg | safe }}`` and a ``<figcaption>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.html.svg import share_glyphs

TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, *, folder: Path = TEMPLATES, **values: Any) -> str:
    """Return a page rendered from a template.

    Args:
        template: name of a file in the folder.
        folder: of the template; by default :data:`TEMPLATES`, which also contains ``base.html``.
        values: values of the template's variables. Text is escaped unless the template marks it as
            ``safe``.

    Raises:
        jinja2.UndefinedError: the template uses a variable without a value.
    """
    import jinja2  # here, because most commands write no page

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return share_glyphs(environment.get_template(template).render(**values))
