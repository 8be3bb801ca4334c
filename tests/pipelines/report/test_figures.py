"""Every figure as it is drawn: axes with their units, and no text over another."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from pipelines.html import plotting as drawing
from pipelines.report.auxiliary_networks import AuxiliaryNetworks
from pipelines.report.calibration import decision_analysis, reliability
from pipelines.report.context import ReportContext
from pipelines.report.data_summary import data_summary
from pipelines.report.learning_curves import learning_curves
from pipelines.report.loss_surface import loss_surface
from pipelines.report.partial_dependence import partial_dependence_section
from pipelines.report.permutation_importance import importance_section
from pipelines.report.subgroups import subgroups


@pytest.fixture
def figures(
    context: ReportContext, auxiliary: AuxiliaryNetworks, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, Figure]]:
    """All figures of a report, laid out as they are in it."""
    found: list[tuple[str, Figure]] = []

    def keep(figure: Figure, alt: str) -> str:
        with drawing.plot_style():
            figure.canvas = FigureCanvasAgg(figure)
            figure.draw_without_rendering()
        found.append((alt, figure))
        return "<svg></svg>"

    for name, module in list(sys.modules.items()):
        if name.startswith("pipelines.report.") and hasattr(module, "as_svg"):
            monkeypatch.setattr(module, "as_svg", keep)
    for alone in (data_summary, reliability, decision_analysis, subgroups, loss_surface):
        alone(context)
    for beside in (importance_section, partial_dependence_section, learning_curves):
        beside(context, auxiliary)
    return found


def panels_of(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def shown_ticks(axes: Axes) -> Iterator[Text]:
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high and tick.label1.get_visible():
                yield tick.label1


def texts_of(figure: Figure) -> list[Text]:
    found: list[Text] = []
    for axes in panels_of(figure):
        titles = {axes.get_title(place) for place in ("left", "center")}
        found += [
            text
            for text in axes.get_children()
            if isinstance(text, Text) and text.get_text() in titles
        ]
        found += [axes.xaxis.label, axes.yaxis.label]
        found += shown_ticks(axes)
        legend = axes.get_legend()
        found += legend.get_texts() if legend else []
    for legend in figure.legends:
        found += legend.get_texts()
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def test_every_axis_says_what_it_counts(figures: list[tuple[str, Figure]]) -> None:
    """A unit, or levels by their names; panels that share an axis say it once a row."""
    assert len(figures) == 11
    for alt, figure in figures:
        for axes in panels_of(figure):
            assert axes.get_xlabel().strip(), alt
            beside = axes.get_shared_y_axes().get_siblings(axes)
            assert any(one.get_ylabel().strip() or names_levels(one) for one in beside), alt


def names_levels(axes: Axes) -> bool:
    """Whether the ticks of the upright axis are words."""
    words = [tick.label1.get_text() for tick in axes.yaxis.get_major_ticks()]
    return any(letter.isalpha() for word in words for letter in word)


def test_no_text_lies_over_another(figures: list[tuple[str, Figure]]) -> None:
    for alt, figure in figures:
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
        for (one, here), (other, there) in itertools.combinations(boxes, 2):
            assert not overlap(here, there), f"{alt} {one!r} lies over {other!r}"


def overlap(one: Bbox, other: Bbox, grace: float = 1.0) -> bool:
    """Whether two boxes share more than a point at their edges."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > grace and height > grace)
