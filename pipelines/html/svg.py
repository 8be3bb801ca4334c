"""Figures as SVG elements in an HTML page."""

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
    """Return the figure as an ``<svg>`` element for an HTML page.

    Equal figures give equal text. The element scales to the available width. Its letters are
    outlines, and its ids are unique, so a page can contain several figures.

    Args:
        alt: text alternative, a description of the figure for screen readers.

    Raises:
        ValueError: ``alt`` is empty.
    """
    if not alt.strip():
        raise ValueError("alt: a figure needs a text alternative")
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with plot_style():
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    svg = buffer.getvalue()
    view_box = re.search(r'viewBox="[^"]+"', svg)
    assert view_box, "matplotlib writes a viewBox"
    # A style element would apply to the whole page, so the svg element sets the line join instead.
    svg = re.sub(r"<!--.*?-->|<metadata.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    content = svg[svg.index(">", svg.index("<svg")) + 1 :]
    content = _with_unique_ids(_remove_empty_groups(_minify_svg(content)), alt)
    title = escape(alt)
    return (
        f'<svg {view_box[0]} stroke-linejoin="round" role="img" aria-label="{title}">'
        f"<title>{title}</title>{content}\n"
    )


def _minify_svg(svg: str) -> str:
    """Shorten the SVG: round coordinates to 0.01 points and group equal markers."""

    def round_number(match: re.Match[str]) -> str:
        number = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
        return "0" if number == "-0" else number

    def round_attribute(match: re.Match[str]) -> str:
        numbers = re.sub(r"-?\d+\.\d{2,}(?:e-?\d+)?", round_number, match[0])
        return re.sub(r"\s+", " ", numbers).replace(' "', '"')

    def group_markers(match: re.Match[str]) -> str:
        markers = match[0].replace(f' style="{match["style"]}"', "")
        return f'<g style="{match["style"]}">{markers}</g>'

    svg = re.sub(r' (?:d|x|y|width|height)="[^"]*"|translate\([^)]*\)', round_attribute, svg)
    svg = re.sub(r' d="([^"]*)"', lambda path: f' d="{_shorten_path(path[1])}"', svg)
    svg = re.sub(r'(<use [^>]*)transform="translate\(([^ )]+) 0\)"', r'\1x="\2"', svg)
    svg = re.sub(r">\s+<", "><", svg.replace("xlink:href", "href")).replace(": ", ":")
    svg = svg.replace("; ", ";")
    for blank in re.findall(r'<path id="([^"]+)" transform="[^"]*"/>', svg):  # the space character
        svg = re.sub(rf'<path id="{blank}"[^>]*/>|<use href="#{blank}"[^>]*/>', "", svg)
    use = r'<use href="(?P<at>[^"]+)"[^>]*? style="(?P<style>[^"]+)"/>'
    return re.sub(rf'{use}(?:<use href="(?P=at)"[^>]*? style="(?P=style)"/>)+', group_markers, svg)


def _shorten_path(path: str) -> str:
    """Omit a path command that repeats the one before it, or that draws a line after a move."""
    parts, previous = [], ""
    for command, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        implied = (command == previous and command in "LQC") or previous + command == "ML"
        parts.append((" " if implied else command) + numbers.strip())
        previous = command
    return "".join(parts)


def share_glyphs(page: str) -> str:
    """Return the page with the outline of every letter once, shared by all of its figures.

    A page with many figures becomes about a third smaller.
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
    assert start, "an HTML page has a body"
    return f"{page[: start.end()]}\n{hidden}{outlines}</defs></svg>{page[start.end() :]}"


def _with_unique_ids(svg: str, alt: str) -> str:
    """Replace ids by short ones with a hash of the figure, and remove those without a reference."""
    prefix = "f" + hashlib.sha256((alt + svg).encode()).hexdigest()[:8]
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    short = {name: f"{prefix}-{number}" for number, name in enumerate(used)}
    svg = re.sub(r' id="([^"]+)"', lambda i: f' id="{short[i[1]]}"' if i[1] in used else "", svg)
    return re.sub(r'(href="|url\()#([^")]+)', lambda i: f"{i[1]}#{short[i[2]]}", svg)


def _remove_empty_groups(svg: str) -> str:
    """Remove groups without attributes, keeping their content, and empty ``<defs>``."""
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    redundant: list[bool] = []

    def remove_tag(match: re.Match[str]) -> str:
        if match[0] != "</g>":
            redundant.append(match[0] == "<g>")
            return "" if redundant[-1] else match[0]
        return "" if redundant.pop() else "</g>"

    svg = re.sub(r"<g\b[^>]*/>", "", svg)  # empty labels
    svg = re.sub(r"<g\b[^>]*>|</g>", remove_tag, svg)
    return svg.replace("<defs></defs>", "")
