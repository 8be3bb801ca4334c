"""How the probability goes with one column, the others as they are.

Partial dependence (Friedman, "Greedy function approximation", 2001): every training record is given
the same value, and the probabilities are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.logit import to_probabilities
from model.schema import Column
from pipelines.evaluation import SEED
from pipelines.html import COLOURS, FILLS, MARKERS, as_svg, label, panels, plot_style
from pipelines.report.auxiliary_networks import AuxiliaryNetworks
from pipelines.report.blocks import FigureBlock, Section, escape_mathtext, wrapped
from pipelines.report.context import ReportContext
from pipelines.report.disclosure_control import count_cells
from pipelines.report.weight_space import log_odds, stack_networks

MAX_RECORDS = 500
N_POINTS = 25
COLUMNS_PER_FIGURE = 12


@dataclass(frozen=True)
class PartialDependence:
    """Of one column.

    Attributes:
        values: (k,), the values, or codes, that the records were given.
        mean: (k,), the network's mean probability.
        low, high: (k,), the lowest and highest of the networks of the folds.
    """

    column: Column
    values: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def partial_dependence(
    context: ReportContext, auxiliary: AuxiliaryNetworks, column: Column
) -> PartialDependence:
    """Of one column, over the range of values that is shown at a glance.

    Returns:
        With k = 0 where nothing may be shown.
    """
    table, index = context.table, context.schema.column_names.index(column.name)
    at = _evaluation_points(context, column, table.values[:, index])
    if not len(at):
        return PartialDependence(column, at, at, at, at)
    rows = context.rows
    if len(rows) > MAX_RECORDS:
        rows = np.random.default_rng(SEED).choice(rows, MAX_RECORDS, replace=False)
    values = np.tile(table.values[rows], (len(at), 1))
    values[:, index] = np.repeat(at, len(rows))
    own = log_odds(context.config, stack_networks(context.weights), context.encoding.encode(values))
    mean = context.calibrated(to_probabilities(own[:, 0])).reshape(len(at), -1).mean(axis=1)
    given = context.calibrated(auxiliary.predict_folds([values] * len(auxiliary.splits)))
    among = given.reshape(-1, len(at), len(rows)).mean(axis=2)
    return PartialDependence(column, at, mean, among.min(axis=0), among.max(axis=0))


def partial_dependence_section(context: ReportContext, auxiliary: AuxiliaryNetworks) -> Section:
    """Partial dependence on every column."""
    found = [partial_dependence(context, auxiliary, one) for one in context.schema.columns]
    numbers = [one for one in found if len(one.values) and not one.column.levels]
    levels = [one for one in found if len(one.values) and one.column.levels]
    return Section(
        "dependence",
        "How the probability goes with each column",
        [
            "The mean probability when all training records are given the same value of a column "
            "and keep their own in the others. The band holds what the networks of all folds say: "
            "where it is wide, other records would have taught another shape. Where columns go "
            "together, some of these records cannot exist; and what is shown is the network, not "
            "what a change of the value would do to anybody.",
            *(
                _curves(context, part[start : start + COLUMNS_PER_FIGURE])
                for part in (numbers, levels)
                for start in range(0, len(part), COLUMNS_PER_FIGURE)
            ),
        ],
    )


def _evaluation_points(context: ReportContext, column: Column, values: np.ndarray) -> np.ndarray:
    known = values[~np.isnan(values)]
    if column.levels:
        return np.array([code for code in column.codes if code in known], float)
    cells = count_cells(column, values, context.table.labels, private=context.is_private)
    if not cells:
        return np.empty(0)
    low, high = cells[0].low, cells[-1].high
    if not context.is_private:  # else only round numbers, which are nobody's own
        low, high = max(low, known.min()), min(high, known.max())
    return np.linspace(low, high, N_POINTS)


@plot_style()
def _curves(context: ReportContext, found: Sequence[PartialDependence]) -> FigureBlock:
    levels = bool(found[0].column.levels)
    across = 2 if levels else 3
    height = 0.75 + 0.13 * max(map(_count_label_lines, found)) if levels else 1.95
    shared = {"sharex": True} if levels else {"sharey": True}
    figure, axes = panels(across, -(-len(found) // across), height=max(height, 1.4), **shared)
    for ax in axes[len(found) :]:
        ax.set_visible(False)
    for place, (ax, one) in enumerate(zip(axes, found, strict=False)):
        if levels:
            _dots(ax, one)
        else:
            _curve(ax, one, named=place % across == 0)
        ax.set_title(wrapped(one.column.title, 26 if not levels else 40))
    names = ", ".join(one.column.title for one in found)
    return FigureBlock(
        as_svg(figure, f"Partial dependence of the probability on {names}."),
        f"Partial dependence of the probability of “{context.schema.outcome.positive}”: this "
        f"network ({'dots' if levels else 'lines'}), and all networks of the folds "
        f"({'bars' if levels else 'bands'}).",
    )


def _count_label_lines(one: PartialDependence) -> int:
    """That its levels take, each at least two, so that no two of them touch."""
    labels = {level.code: level.label for level in one.column.levels}
    return sum(max(2, wrapped(labels[int(code)]).count("\n") + 2) for code in one.values)


def _curve(ax: Any, one: PartialDependence, *, named: bool) -> None:
    ax.fill_between(one.values, one.low, one.high, color=FILLS[1], linewidth=0)
    ax.plot(one.values, one.mean, color=COLOURS[0])
    ax.set_ylim(0, 1)
    label(ax, escape_mathtext(one.column.unit) or "no unit", "mean probability" if named else "")


def _dots(ax: Any, one: PartialDependence) -> None:
    labels = {level.code: level.label for level in one.column.levels}
    places = np.arange(len(one.values))
    ax.hlines(places, one.low, one.high, color=FILLS[1], linewidth=9)
    ax.plot(one.mean, places, color=COLOURS[0], linestyle="none", marker=MARKERS[0])
    ax.set_yticks(places, [wrapped(labels[int(code)]) for code in one.values])
    ax.set_ylim(len(places) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.tick_params(labelbottom=True)
    ax.grid(visible=False, axis="y")
    label(ax, "mean probability", "")
