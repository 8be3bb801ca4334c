"""Partial dependence of the probability on each column.

Every training record is given the same value of the column and keeps its values of the others, and
the probabilities are averaged (Friedman, "Greedy function approximation", 2001).
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
    """The partial dependence on one column.

    Attributes:
        column: the column of the schema.
        values: (k,), the values or level codes that the records were given.
        mean: (k,), the network's mean probability.
        low, high: (k,), the lowest and highest mean probability of the networks of the folds.
    """

    column: Column
    values: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def partial_dependence(
    context: ReportContext, auxiliary: AuxiliaryNetworks, column: Column
) -> PartialDependence:
    """Compute the partial dependence on one column.

    Args:
        context: the training that the report is about; at most ``MAX_RECORDS`` of its records are
            used.
        auxiliary: the networks trained for the report.
        column: the column of the schema.

    Returns:
        The curve over the range of values that :mod:`pipelines.report.data_summary` shows. It has
        k = 0 points if no value may be shown.
    """
    table, index = context.table, context.schema.column_names.index(column.name)
    points = _evaluation_points(context, column, table.values[:, index])
    if not len(points):
        return PartialDependence(column, points, points, points, points)
    rows = context.rows
    if len(rows) > MAX_RECORDS:
        rows = np.random.default_rng(SEED).choice(rows, MAX_RECORDS, replace=False)
    values = np.tile(table.values[rows], (len(points), 1))
    values[:, index] = np.repeat(points, len(rows))
    network_log_odds = log_odds(
        context.config, stack_networks(context.weights), context.encoding.encode(values)
    )
    mean = (
        context.calibrated(to_probabilities(network_log_odds[:, 0]))
        .reshape(len(points), -1)
        .mean(axis=1)
    )
    fold_probabilities = context.calibrated(
        auxiliary.folds.predict([values] * len(auxiliary.folds.rows))
    )
    fold_means = fold_probabilities.reshape(-1, len(points), len(rows)).mean(axis=2)
    return PartialDependence(column, points, mean, fold_means.min(axis=0), fold_means.max(axis=0))


def partial_dependence_section(context: ReportContext, auxiliary: AuxiliaryNetworks) -> Section:
    """Return the section on partial dependence, with a panel for every column.

    Args:
        context: the training that the report is about.
        auxiliary: the networks trained for the report.
    """
    curves = [partial_dependence(context, auxiliary, column) for column in context.schema.columns]
    numbers = [curve for curve in curves if len(curve.values) and not curve.column.levels]
    levels = [curve for curve in curves if len(curve.values) and curve.column.levels]
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
    known_values = values[~np.isnan(values)]
    if column.levels:
        return np.array([code for code in column.codes if code in known_values], float)
    cells = count_cells(column, values, context.table.labels, private=context.is_private)
    if not cells:
        return np.empty(0)
    low, high = cells[0].low, cells[-1].high
    # In a private table the ends stay round numbers: the extremes are values of records.
    if not context.is_private:
        low, high = max(low, known_values.min()), min(high, known_values.max())
    return np.linspace(low, high, N_POINTS)


@plot_style()
def _curves(context: ReportContext, curves: Sequence[PartialDependence]) -> FigureBlock:
    levels = bool(curves[0].column.levels)
    n_columns = 2 if levels else 3
    height = 0.75 + 0.13 * max(map(_count_label_lines, curves)) if levels else 1.95
    shared_axis = {"sharex": True} if levels else {"sharey": True}
    figure, axes = panels(
        n_columns, -(-len(curves) // n_columns), height=max(height, 1.4), **shared_axis
    )
    for ax in axes[len(curves) :]:
        ax.set_visible(False)
    for index, (ax, curve) in enumerate(zip(axes, curves, strict=False)):
        if levels:
            _dots(ax, curve)
        else:
            _curve(ax, curve, show_label=index % n_columns == 0)
        ax.set_title(wrapped(curve.column.title, 26 if not levels else 40))
    names = ", ".join(curve.column.title for curve in curves)
    return FigureBlock(
        as_svg(figure, f"Partial dependence of the probability on {names}."),
        f"Partial dependence of the probability of “{context.schema.outcome.positive}”: this "
        f"network ({'dots' if levels else 'lines'}), and all networks of the folds "
        f"({'bars' if levels else 'bands'}).",
    )


def _count_label_lines(dependence: PartialDependence) -> int:
    """Return the lines that the level labels need, at least two each, so that they do not touch."""
    labels = {level.code: level.label for level in dependence.column.levels}
    return sum(max(2, wrapped(labels[int(code)]).count("\n") + 2) for code in dependence.values)


def _curve(ax: Any, curve: PartialDependence, *, show_label: bool) -> None:
    ax.fill_between(curve.values, curve.low, curve.high, color=FILLS[1], linewidth=0)
    ax.plot(curve.values, curve.mean, color=COLOURS[0])
    ax.set_ylim(0, 1)
    label(
        ax,
        escape_mathtext(curve.column.unit) or "no unit",
        "mean probability" if show_label else "",
    )


def _dots(ax: Any, curve: PartialDependence) -> None:
    labels = {level.code: level.label for level in curve.column.levels}
    positions = np.arange(len(curve.values))
    ax.hlines(positions, curve.low, curve.high, color=FILLS[1], linewidth=9)
    ax.plot(curve.mean, positions, color=COLOURS[0], linestyle="none", marker=MARKERS[0])
    ax.set_yticks(positions, [wrapped(labels[int(code)]) for code in curve.values])
    ax.set_ylim(len(positions) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.tick_params(labelbottom=True)
    ax.grid(visible=False, axis="y")
    label(ax, "mean probability", "")
