"""Figures as SVG elements of a page."""

from __future__ import annotations

import hashlib
import io
import re
from html import escape
from typing import TYPE_CHECKING

from pipelines.html.plotting import plot_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def as_svg(figure: Figure, alt: str) -> str:
    """The figure as an ``<svg>`` element for a page of HTML.

    Equal figures give equal text. It takes the width that it is given and keeps its shape; its
    letters are outlines, and ids in it are its own, so that it stands beside others in one page.

    Args:
        alt: what the figure shows, for whoever does not see it.

    Raises:
        ValueError: ``alt`` is empty.
    """
    if not alt.strip():
        raise ValueError("a figure needs words for whoever does not see it")
    written = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with plot_style():
        figure.savefig(written, format="svg", metadata=nothing)
    svg = written.getvalue()
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box, "matplotlib writes a viewBox"
    # A style element would hold for the whole page; what it says is said on the svg element.
    svg = re.sub(r"<!--.*?-->|<metadata.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    inside = svg[svg.index(">", svg.index("<svg")) + 1 :]
    inside = _with_unique_ids(_remove_empty_groups(_minify_svg(inside)), alt)
    words = escape(alt)
    return (
        f'<svg {box[0]} stroke-linejoin="round" role="img" aria-label="{words}">'
        f"<title>{words}</title>{inside}\n"
    )


def _minify_svg(svg: str) -> str:
    """The same picture in fewer letters: coordinates to a hundredth of a point, points in groups."""

    def rounded(found: re.Match[str]) -> str:
        number = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
        return "0" if number == "-0" else number

    def attribute(found: re.Match[str]) -> str:
        numbers = re.sub(r"-?\d+\.\d{2,}(?:e-?\d+)?", rounded, found[0])
        return re.sub(r"\s+", " ", numbers).replace(' "', '"')

    def points(found: re.Match[str]) -> str:
        each = found[0].replace(f' style="{found["style"]}"', "")
        return f'<g style="{found["style"]}">{each}</g>'

    svg = re.sub(r' (?:d|x|y|width|height)="[^"]*"|translate\([^)]*\)', attribute, svg)
    svg = re.sub(r' d="([^"]*)"', lambda path: f' d="{_shorten_path(path[1])}"', svg)
    svg = re.sub(r'(<use [^>]*)transform="translate\(([^ )]+) 0\)"', r'\1x="\2"', svg)
    svg = re.sub(r">\s+<", "><", svg.replace("xlink:href", "href")).replace(": ", ":")
    svg = svg.replace("; ", ";")
    for blank in re.findall(r'<path id="([^"]+)" transform="[^"]*"/>', svg):  # a space
        svg = re.sub(rf'<path id="{blank}"[^>]*/>|<use href="#{blank}"[^>]*/>', "", svg)
    use = r'<use href="(?P<at>[^"]+)"[^>]*? style="(?P<style>[^"]+)"/>'
    return re.sub(rf'{use}(?:<use href="(?P=at)"[^>]*? style="(?P=style)"/>)+', points, svg)


def _shorten_path(path: str) -> str:
    """A path in which a command that is the one before it, or lines after a move, go unsaid."""
    written, before = [], ""
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        unsaid = (command == before and command in "LQC") or before + command == "ML"
        written.append((" " if unsaid else command) + numbers.strip())
        before = command
    return "".join(written)


def share_glyphs(page: str) -> str:
    """The page with the outline of every letter once, for all of its figures.

    Takes about a third off a page with many figures.
    """
    glyph = r'<path id="([^"]+)" d="([^"]+)" transform="scale\(0\.015625\)"/>'
    shared: dict[str, str] = {}
    names = {
        own: shared.setdefault(outline, f"g{len(shared)}")
        for own, outline in re.findall(glyph, page)
    }
    if not names:
        return page
    page = re.sub(glyph, "", page).replace("<defs></defs>", "")
    page = re.sub(r'<use href="#([^"]+)"', lambda i: f'<use href="#{names.get(i[1], i[1])}"', page)
    outlines = "".join(
        f'<path id="{name}" d="{outline}" transform="scale(0.015625)"/>'
        for outline, name in shared.items()
    )
    hidden = '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
    start = re.search(r"<body[^>]*>", page)
    assert start, "a page of HTML has a body"
    return f"{page[: start.end()]}\n{hidden}{outlines}</defs></svg>{page[start.end() :]}"


def _with_unique_ids(svg: str, alt: str) -> str:
    """Short ids that begin with a hash of the figure; those that nothing refers to are left out."""
    own = "f" + hashlib.sha256((alt + svg).encode()).hexdigest()[:8]
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    short = {name: f"{own}-{number}" for number, name in enumerate(used)}
    svg = re.sub(r' id="([^"]+)"', lambda i: f' id="{short[i[1]]}"' if i[1] in used else "", svg)
    return re.sub(r'(href="|url\()#([^")]+)', lambda i: f"{i[1]}#{short[i[2]]}", svg)


def _remove_empty_groups(svg: str) -> str:
    """Groups that say nothing about what is in them are taken away, and so are empty ``<defs>``."""
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    idle: list[bool] = []

    def tag(found: re.Match[str]) -> str:
        if found[0] != "</g>":
            idle.append(found[0] == "<g>")
            return "" if idle[-1] else found[0]
        return "" if idle.pop() else "</g>"

    svg = re.sub(r"<g\b[^>]*/>", "", svg)  # of a label without letters
    svg = re.sub(r"<g\b[^>]*>|</g>", tag, svg)
    return svg.replace("<defs></defs>", "")
