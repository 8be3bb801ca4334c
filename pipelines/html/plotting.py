"""Matplotlib figures in one style.

Draw every figure inside :func:`plot_style`, which sets the sizes and colours of all artists::

    @plot_style()
    def learning_curve(losses: Sequence[float]) -> str:
        figure, (axes,) = panels(1)
        axes.plot(range(1, len(losses) + 1), losses, label="training")
        label(axes, "epoch", "mean loss (nats)")
        return as_svg(figure, "The loss falls from epoch to epoch.")

Matplotlib is imported with the first figure, so the command line starts without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#10243e", "#98310d", "#23897b", "#d8911f", "#5b2a86", "#7486a0")
"""Colours of lines and points. In greyscale, each of the first four is lighter than the last."""

DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.6, 1.2, 1.6)), (0, (9, 2.5)), (0, (3, 1)))
"""Dashes of the lines, in the order of :data:`COLOURS`."""

MARKERS = ("o", "s", "^", "D", "v", "P")
"""Markers of the points, in the order of :data:`COLOURS`."""

FILLS = ("#dfe7f1", "#a8cbc5", "#e0946d", "#6f86a6")
"""Colours of areas and bars. In greyscale, each is darker than the one before."""

COLORMAP = "cividis"
"""Colour map of a surface, with lightness increasing with the value (Nuñez and others, 2018)."""

FIGURE_WIDTH = 7.2
"""Width of a figure in inches of 72 points, equal to the width of the text column."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "path",  # outlines have the same size in every browser
    "svg.hashsalt": "pipelines",
    "svg.id": None,
    "path.simplify_threshold": 0.3,
    "font.family": "DejaVu Sans",  # installed with matplotlib, so it is available everywhere
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": True,  # keeps lines from crossing the text
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
    """Apply the style of all figures, as a context manager or as a decorator."""
    import matplotlib  # takes half a second
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
    """Return a new figure and its axes, row by row.

    Args:
        height: of one row, in inches.
        width: of all columns together, in inches.
        shared: arguments of matplotlib's ``subplots``, such as ``sharex`` or ``width_ratios``.

    Raises:
        RuntimeError: called outside :func:`plot_style`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if matplotlib.rcParams["svg.hashsalt"] != _STYLE["svg.hashsalt"]:
        raise RuntimeError("panels() must be called inside plot_style()")
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).flat)


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Label both axes, with their units, and title the panel if a title is given; call it last."""
    axes.minorticks_off()  # logarithmic axes have too many of them
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title)
