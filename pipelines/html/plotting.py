"""Figures in one style, as SVG inside a page.

A figure is drawn inside :func:`plot_style`, so that every artist takes its sizes from there::

    @plot_style()
    def learning_curve(losses: Sequence[float]) -> str:
        figure, (axes,) = panels(1)
        axes.plot(range(1, len(losses) + 1), losses, label="training")
        label(axes, "epoch", "mean loss (nats)")
        return as_svg(figure, "The loss falls from epoch to epoch.")

matplotlib is imported with the first figure, so that the command line starts without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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


COLORMAP = "cividis"
"""Colour map of a surface: lightness grows with the value (Nuñez and others, 2018)."""


FIGURE_WIDTH = 7.2
"""Of a whole figure, in inches of 72 points: that of the column of text."""


_STYLE: dict[str, Any] = {
    "svg.fonttype": "path",  # glyphs as outlines take the same room in every browser
    "svg.hashsalt": "pipelines",
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
def plot_style() -> Iterator[None]:
    """Draw in the style of the house; also a decorator of a function that draws."""
    import matplotlib  # half a second, for whoever draws
    from cycler import cycler

    cycle = cycler(color=COLOURS) + cycler(linestyle=DASHES)
    style: dict[Any, Any] = {**_STYLE, "axes.prop_cycle": cycle}
    with matplotlib.rc_context(style):
        yield


def panels(
    columns: int = 1,
    rows: int = 1,
    *,
    height: float = 2.9,
    width: float = FIGURE_WIDTH,
    **shared: Any,
) -> tuple[Figure, list[Axes]]:
    """A new figure and its axes, row by row.

    Args:
        height: of one row, in inches.
        width: of all columns together, in inches.
        shared: ``sharex``, ``sharey``, ``width_ratios`` and the like, as matplotlib's ``subplots``
            takes them.

    Raises:
        RuntimeError: called outside :func:`plot_style`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if matplotlib.rcParams["svg.hashsalt"] != _STYLE["svg.hashsalt"]:
        raise RuntimeError("a figure is drawn inside plot_style()")
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).flat)


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Name both axes, units and all, and perhaps the panel; call it last."""
    axes.minorticks_off()  # of logarithms: more marks than picture
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title)
