"""Performance in the subgroups that the schema declares."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation import Estimate, auc, bootstrap_statistic, estimate_or_none, log_loss
from model.schema import Column, Subgroups
from pipelines.evaluation import SEED
from pipelines.html import COLOURS, DASHES, MARKERS, as_svg, label, panels, plot_style
from pipelines.report.blocks import (
    Block,
    FigureBlock,
    Section,
    TableBlock,
    escape_mathtext,
    format_number,
    join_with_and,
    percent,
    with_interval,
)
from pipelines.report.context import ReportContext
from pipelines.report.disclosure_control import MIN_CELL_COUNT, nice_edges

MIN_RECORDS_PER_OUTCOME = 100
"""Records of each outcome that an evaluation should have (Collins, Ogundimu and Altman, "Sample
size considerations for the external validation of a multivariable prognostic model", 2016)."""
MEASURES = {
    "auc": "AUC",
    "log_loss": "Log loss (nats)",
    "in_the_large": "Share positive minus mean probability",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}


@dataclass(frozen=True)
class Subgroup:
    """A group of records, and the performance of their out-of-fold predictions.

    Attributes:
        split: the title of the column that defines the group; empty for all records.
        name: the level or the range of the group.
        rows: bool (n,), True for the records of the group.
        n_positive: the number of its records with the positive outcome.
        estimates: by key of :data:`MEASURES`; None if the measure is undefined for the group.
    """

    split: str
    name: str
    rows: np.ndarray
    n_positive: int
    estimates: dict[str, Estimate | None]

    @property
    def n(self) -> int:
        """The number of records."""
        return int(self.rows.sum())


def evaluate_subgroups(context: ReportContext) -> list[Subgroup]:
    """Evaluate all records, and every group of every column that the schema declares for subgroups.

    The groups of a column are left out if one of them is too small to be shown for a private table.

    Args:
        context: the training that the report is about.

    Returns:
        The group of all records first, then the groups in the order of the schema.
    """
    labels = context.table.labels
    groups = [_evaluate(context, "", "All records", np.ones(len(labels), bool))]
    for subgroup in context.schema.subgroups:
        column = next(
            candidate for candidate in context.schema.columns if candidate.name == subgroup.column
        )
        partition = _partition(
            column, subgroup, context.table.values[:, context.schema.columns.index(column)]
        )
        if context.is_private and any(_is_small(labels[rows]) for _, rows in partition):
            continue
        groups += [_evaluate(context, column.title, name, rows) for name, rows in partition]
    return groups


def subgroups(context: ReportContext) -> Section:
    """Return the section on subgroups: a table and a forest plot of the estimates.

    Args:
        context: the training that the report is about.
    """
    groups = evaluate_subgroups(context)
    splits = context.schema.subgroups
    if not splits:
        text = "The schema names no columns by which groups are to be told apart."
        return Section("subgroups", "Subgroups", [text])
    shown = {group.split for group in groups}
    titles = {column.name: column.title for column in context.schema.columns}
    hidden_columns = [titles[split.column] for split in splits if titles[split.column] not in shown]
    blocks: list[Block] = [
        "The same out-of-fold probabilities and threshold, group by group. Intervals are those of "
        "a bootstrap of records. A difference between two groups whose intervals overlap may be "
        "chance; and equal figures would not show that the model is fair.",
        TableBlock(
            ("Group", "Records", "Positive", *MEASURES.values()),
            [_row(group) for group in groups],
            "Figures by group, out of fold, with 95 % intervals.",
        ),
    ]
    small_groups = [
        _full_name(group)
        for group in groups[1:]
        if min(group.n_positive, group.n - group.n_positive) < MIN_RECORDS_PER_OUTCOME
    ]
    if small_groups:
        blocks.append(
            f"Fewer than {MIN_RECORDS_PER_OUTCOME} records of one outcome, which makes the "
            f"intervals wide and the figures uncertain: {join_with_and(small_groups)}."
        )
    if hidden_columns:
        blocks.append(
            f"Not shown, because a group has fewer than {MIN_CELL_COUNT} records of one outcome "
            f"and the rows of this table must not leave: {join_with_and(hidden_columns)}."
        )
    if len(groups) > 1:
        blocks.append(_forest_plot(groups))
    return Section("subgroups", "Subgroups", blocks)


def _partition(
    column: Column, split: Subgroups, values: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """Return name and rows of each group with records: the levels, or the ranges between cuts."""
    if column.levels:
        parts = [(level.label, values == level.code) for level in column.levels]
    else:
        known_values = values[~np.isnan(values)]
        cuts = split.cuts or _thirds(known_values)
        ends = [-math.inf, *cuts, math.inf]
        parts = [
            (_range_name(low, high, column.unit), (values >= low) & (values < high))
            for low, high in itertools.pairwise(ends)
        ]
    parts.append(("not known", np.isnan(values)))
    return [(name, rows) for name, rows in parts if rows.any()]


def _thirds(known_values: np.ndarray) -> tuple[float, ...]:
    """Return round numbers near the tertiles."""
    if not len(known_values):
        return ()
    edges = nice_edges(float(known_values.min()), float(known_values.max()), 20)
    cuts = [
        edges[np.abs(edges - third).argmin()] for third in np.quantile(known_values, [1 / 3, 2 / 3])
    ]
    return tuple(float(cut) for cut in np.unique(cuts))


def _range_name(low: float, high: float, unit: str) -> str:
    unit_suffix = f" {unit}" if unit else ""
    if math.isinf(low):
        return f"below {high:g}{unit_suffix}"
    if math.isinf(high):
        return f"{low:g}{unit_suffix} and above"
    return f"{low:g} to below {high:g}{unit_suffix}"


def _is_small(labels: np.ndarray) -> bool:
    return min(int(labels.sum()), int((1 - labels).sum())) < MIN_CELL_COUNT


def _evaluate(context: ReportContext, split: str, name: str, rows: np.ndarray) -> Subgroup:
    labels = context.table.labels[rows]
    predictions = context.out_of_fold[:, rows]
    unit_weights = np.ones((1, len(labels)))
    values = _compute_measures(context, labels, predictions, unit_weights)
    draws = bootstrap_statistic(
        lambda weights: _compute_measures(context, labels, predictions, weights[:, rows]),
        context.table.groups,
        seed=SEED,
    )
    estimates = dict(zip(MEASURES, map(estimate_or_none, draws.T, values.T), strict=True))
    return Subgroup(split, name, rows, int(labels.sum()), estimates)


def _compute_measures(
    context: ReportContext, labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return (b, n_measures) for b weightings of the records; NaN where a measure is undefined.

    Args:
        context: the training that the report is about.
        labels: (n,) of 0 and 1.
        predictions: (n_repeats, n) probabilities.
        weights: (b, n).
    """
    called_positive = (predictions >= context.at_threshold.threshold).mean(axis=0)
    positive, negative = weights * (labels == 1), weights * (labels == 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = {
            "auc": auc(labels, predictions, weights),
            "log_loss": log_loss(labels, predictions, weights),
            "in_the_large": weights @ (labels - predictions.mean(axis=0)) / weights.sum(axis=1),
            "sensitivity": positive @ called_positive / positive.sum(axis=1),
            "specificity": negative @ (1 - called_positive) / negative.sum(axis=1),
        }
    return np.stack([measures[measure] for measure in MEASURES], axis=1)


def _row(group: Subgroup) -> tuple[str, ...]:
    return (
        _full_name(group),
        str(group.n),
        f"{group.n_positive} ({percent(group.n_positive / group.n)})",
        *(
            with_interval(group.estimates[name], sign="+" if name == "in_the_large" else "")
            for name in MEASURES
        ),
    )


def _full_name(group: Subgroup) -> str:
    return f"{group.split}: {group.name}" if group.split else group.name


@plot_style()
def _forest_plot(groups: Sequence[Subgroup]) -> FigureBlock:
    measures = ("auc", "in_the_large", "sensitivity", "specificity")
    figure, axes = panels(len(measures), height=0.9 + 0.3 * len(groups), sharey=True)
    positions = np.arange(len(groups))
    for ax, name in zip(axes, measures, strict=True):
        for position, group in zip(positions, groups, strict=True):
            estimate = group.estimates[name]
            if estimate is None:
                continue
            ax.errorbar(
                estimate.value,
                position,
                xerr=[
                    [max(estimate.value - estimate.low, 0)],
                    [max(estimate.high - estimate.value, 0)],
                ],
                color=COLOURS[0],
                marker=MARKERS[0],
                capsize=2.5,
                elinewidth=1.2,
            )
        overall = groups[0].estimates[name]
        if overall is not None:
            ax.axvline(overall.value, color=COLOURS[5], linestyle=DASHES[2], linewidth=1)
        ax.grid(visible=False, axis="y")
        label(ax, {"in_the_large": "share minus\nprobability"}.get(name, MEASURES[name] + "\n"), "")
    axes[0].set_yticks(
        positions,
        [f"{escape_mathtext(_full_name(group))} ({format_number(group.n, 0)})" for group in groups],
    )
    axes[0].invert_yaxis()
    return FigureBlock(
        as_svg(figure, "Figures of every group with their intervals, beside those of all records."),
        "Figures by group with 95 % intervals; in brackets the number of records. The dotted line "
        "is the figure of all records.",
    )
