from __future__ import annotations

import itertools
import re
import subprocess
import sys
from xml.etree import ElementTree

import jinja2
import pytest

from pipelines.html import COLOURS, FILLS, as_svg, label, panels, plot_style, render_page
from pipelines.html.svg import share_glyphs
from tests.conftest import ROOT


@plot_style()
def draw(alt: str = "A line that rises.", last: float = 2.0) -> str:
    figure, (axes, other) = panels(2)
    axes.plot([0, 1, 2], [0, 1, last], label="measured")
    axes.legend()
    label(axes, "time (s)", "length (mm)", "A panel")
    label(other, "dose (mg)", "effect (%)")
    return as_svg(figure, alt)


def lightness(colour: str) -> float:
    """Return CIE L* of a colour in hexadecimal."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 116 * (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]) ** (1 / 3) - 16


def test_equal_figures_give_equal_text() -> None:
    assert draw() == draw()
    assert draw() != draw(last=3.0)


def test_a_figure_is_well_formed_has_a_title_and_no_text_elements() -> None:
    root = ElementTree.fromstring(draw('It rises: 1 < 2 & "so on".'))
    assert root.get("role") == "img"
    assert root[0].tag == "title"
    assert root[0].text == root.get("aria-label") == 'It rises: 1 < 2 & "so on".'
    tags = {element.tag for element in root.iter()}
    assert not tags & {"text", "style", "script", "image", "metadata"}
    assert root.get("width") is None and root.get("viewBox")


@plot_style()
def test_an_empty_line_of_a_label_leaves_the_figure_well_formed() -> None:
    figure, (axes, _) = panels(2)
    label(axes, "time (s)\n", "length (mm)")
    assert ElementTree.fromstring(as_svg(figure, "Nothing yet.")).tag == "svg"


def test_two_figures_in_one_page_share_no_id_and_every_reference_resolves() -> None:
    first, second = draw(), draw(last=3.0)
    ids = re.findall(r'\bid="([^"]+)"', first + second)
    assert len(ids) == len(set(ids)) > 10
    used = re.findall(r'(?:href="|url\()#([^")]+)', first + second)
    assert set(used) == set(ids)


def test_the_figures_of_a_page_share_their_glyphs() -> None:
    page = f"<body>{draw()}{draw(last=3.0)}</body>"
    shared = share_glyphs(page)
    assert len(shared) < 0.75 * len(page)
    ids = re.findall(r'\bid="([^"]+)"', shared)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', shared)) == set(ids)
    outlines = {outline: name for name, outline in re.findall(r'id="(g\d+)" d="([^"]+)"', shared)}
    before = dict(re.findall(r'<path id="([^"]+)" d="([^"]+)"', page))
    used = re.findall(r'<use href="#([^"]+)"', page)
    expected = [outlines.get(before[name], name) for name in used]
    assert re.findall(r'<use href="#([^"]+)"', shared) == expected
    assert share_glyphs("<body></body>") == "<body></body>"


def test_a_figure_needs_a_text_alternative() -> None:
    with pytest.raises(ValueError, match="text alternative"):
        draw(" ")


def test_panels_outside_plot_style_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="inside plot_style"):
        panels()


def test_colours_are_distinct_in_greyscale() -> None:
    lines, fills = [lightness(c) for c in COLOURS[:4]], [lightness(c) for c in FILLS]
    assert all(b - a > 12 for a, b in itertools.pairwise(lines))
    assert all(a - b > 10 for a, b in itertools.pairwise(fills))


def test_the_command_line_starts_without_matplotlib() -> None:
    program = (
        "import sys, pipelines.__main__, pipelines.html.plotting, pipelines.html.render; "
        "print(*sys.modules)"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"matplotlib", "jinja2"} & {name.split(".")[0] for name in completed.stdout.split()}


def test_a_page_has_no_external_assets(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = jinja2.DictLoader(
        {"one.html": '{% extends "base.html" %}{% block main %}{{ x }}{% endblock %}'}
    )
    loaders = jinja2.ChoiceLoader(
        [loader, jinja2.FileSystemLoader(ROOT / "pipelines/html/templates")]
    )
    monkeypatch.setattr(jinja2, "FileSystemLoader", lambda _: loaders)
    page = render_page("one.html", title="A & B", x="<b>")
    assert "<title>A &amp; B</title>" in page and "&lt;b&gt;" in page
    assert not re.search(r"(?:src|href)=|@import|url\(|https?:", page)
    with pytest.raises(jinja2.UndefinedError):
        render_page("one.html", title="A")
