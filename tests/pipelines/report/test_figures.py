"""Figures of the report as drawn: every axis has a label, and no texts overlap."""

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

from pipelines.html import plot_style
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
    """Return all figures of a report, laid out, each with its alternative text."""
    drawn: list[tuple[str, Figure]] = []

    def keep(figure: Figure, alt: str) -> str:
        with plot_style():
            figure.canvas = FigureCanvasAgg(figure)
            figure.draw_without_rendering()
        drawn.append((alt, figure))
        return "<svg></svg>"

    for name, module in list(sys.modules.items()):
        if name.startswith("pipelines.report.") and hasattr(module, "as_svg"):
            monkeypatch.setattr(module, "as_svg", keep)
    for section in (data_summary, reliability, decision_analysis, subgroups, loss_surface):
        section(context)
    for section_with_networks in (importance_section, partial_dependence_section, learning_curves):
        section_with_networks(context, auxiliary)
    return drawn


def panels_of(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def shown_ticks(axes: Axes) -> Iterator[Text]:
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if low <= tick.get_loc() <= high and tick.label1.get_visible():
                yield tick.label1


def texts_of(figure: Figure) -> list[Text]:
    texts: list[Text] = []
    for axes in panels_of(figure):
        titles = {axes.get_title(place) for place in ("left", "center")}
        texts += [
            text
            for text in axes.get_children()
            if isinstance(text, Text) and text.get_text() in titles
        ]
        texts += [axes.xaxis.label, axes.yaxis.label]
        texts += shown_ticks(axes)
        legend = axes.get_legend()
        texts += legend.get_texts() if legend else []
    for legend in figure.legends:
        texts += legend.get_texts()
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def test_every_axis_has_a_label(figures: list[tuple[str, Figure]]) -> None:
    """A label with the unit, or level names. Panels that share an axis have one label per row."""
    assert len(figures) == 11
    for alt, figure in figures:
        for axes in panels_of(figure):
            assert axes.get_xlabel().strip(), alt
            siblings = axes.get_shared_y_axes().get_siblings(axes)
            assert any(ax.get_ylabel().strip() or names_levels(ax) for ax in siblings), alt


def names_levels(axes: Axes) -> bool:
    """Return True if the tick labels of the y axis contain letters."""
    tick_labels = [tick.label1.get_text() for tick in axes.yaxis.get_major_ticks()]
    return any(character.isalpha() for text in tick_labels for character in text)


def test_no_texts_overlap(figures: list[tuple[str, Figure]]) -> None:
    for alt, figure in figures:
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
        for (first, first_box), (second, second_box) in itertools.combinations(boxes, 2):
            assert not overlap(first_box, second_box), f"{alt} {first!r} overlaps {second!r}"


def overlap(first: Bbox, second: Bbox, tolerance: float = 1.0) -> bool:
    """Return True if two boxes overlap by more than ``tolerance`` points in both directions."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return bool(width > tolerance and height > tolerance)
