"""Figures in one style, as SVG inside a page.

A figure is drawn inside :func:`house_style`, so that every artist takes its sizes from there::

    @house_style()
    def learning_curve(losses: Sequence[float]) -> str:
        figure, (axes,) = panels(1)
        axes.plot(range(1, len(losses) + 1), losses, label="training")
        label(axes, "epoch", "mean loss (nats)")
        return as_svg(figure, "The loss falls from epoch to epoch.")

matplotlib is imported with the first figure, so that the command line starts without it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#10243e", "#98310d", "#23897b", "#d8911f", "#5b2a86", "#7486a0")
"""For lines and points: in greyscale the first four are ever lighter, each clearly so."""
DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.6, 1.2, 1.6)), (0, (9, 2.5)), (0, (3, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
FILLS = ("#dfe7f1", "#a8cbc5", "#e0946d", "#6f86a6")
"""For areas and bars: in greyscale ever darker."""
SURFACE = "cividis"
"""Colour map of a surface: lightness grows with the value (Nuñez and others, 2018)."""

WIDTH = 7.2
"""Of a whole figure, in inches of 72 points: that of the column of text."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "path",  # glyphs as outlines take the same room in every browser
    "svg.hashsalt": "house",
    "svg.id": None,
    "path.simplify_threshold": 0.3,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": True,  # so that no line runs through its words
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "legend.handlelength": 3.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#55606e",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": "#e3e7ec",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.7,
    "lines.markersize": 4.5,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the style of the house; also a decorator of a function that draws."""
    import matplotlib  # half a second, for whoever draws
    from cycler import cycler

    cycle = cycler(color=COLOURS) + cycler(linestyle=DASHES)
    style: dict[Any, Any] = {**_STYLE, "axes.prop_cycle": cycle}
    with matplotlib.rc_context(style):
        yield


def panels(
    columns: int = 1, rows: int = 1, *, height: float = 2.9, width: float = WIDTH, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A new figure and its axes, row by row.

    Args:
        height: of one row, in inches.
        width: of all columns together, in inches.
        shared: ``sharex``, ``sharey``, ``width_ratios`` and the like, as matplotlib's ``subplots``
            takes them.

    Raises:
        RuntimeError: called outside :func:`house_style`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if matplotlib.rcParams["svg.hashsalt"] != _STYLE["svg.hashsalt"]:
        raise RuntimeError("a figure is drawn inside house_style()")
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).flat)


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, units and all, and perhaps the panel; call it last."""
    axes.minorticks_off()  # of logarithms: more marks than picture
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title)


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
    with house_style():
        figure.savefig(written, format="svg", metadata=nothing)
    svg = written.getvalue()
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box, "matplotlib writes a viewBox"
    # A style element would hold for the whole page; what it says is said on the svg element.
    svg = re.sub(r"<!--.*?-->|<metadata.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    inside = svg[svg.index(">", svg.index("<svg")) + 1 :]
    inside = _with_own_ids(_without_idle_groups(_shortened(inside)), alt)
    words = escape(alt)
    return (
        f'<svg {box[0]} stroke-linejoin="round" role="img" aria-label="{words}">'
        f"<title>{words}</title>{inside}\n"
    )


def _shortened(svg: str) -> str:
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
    svg = re.sub(r' d="([^"]*)"', lambda path: f' d="{_implied(path[1])}"', svg)
    svg = re.sub(r'(<use [^>]*)transform="translate\(([^ )]+) 0\)"', r'\1x="\2"', svg)
    svg = re.sub(r">\s+<", "><", svg.replace("xlink:href", "href")).replace(": ", ":")
    svg = svg.replace("; ", ";")
    for blank in re.findall(r'<path id="([^"]+)" transform="[^"]*"/>', svg):  # a space
        svg = re.sub(rf'<path id="{blank}"[^>]*/>|<use href="#{blank}"[^>]*/>', "", svg)
    use = r'<use href="(?P<at>[^"]+)"[^>]*? style="(?P<style>[^"]+)"/>'
    return re.sub(rf'{use}(?:<use href="(?P=at)"[^>]*? style="(?P=style)"/>)+', points, svg)


def _implied(path: str) -> str:
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


def _with_own_ids(svg: str, alt: str) -> str:
    """Short ids that begin with a hash of the figure; those that nothing refers to are left out."""
    own = "f" + hashlib.sha256((alt + svg).encode()).hexdigest()[:8]
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    short = {name: f"{own}-{number}" for number, name in enumerate(used)}
    svg = re.sub(r' id="([^"]+)"', lambda i: f' id="{short[i[1]]}"' if i[1] in used else "", svg)
    return re.sub(r'(href="|url\()#([^")]+)', lambda i: f"{i[1]}#{short[i[2]]}", svg)


def _without_idle_groups(svg: str) -> str:
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
