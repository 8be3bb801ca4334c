"""How the model does in parts of the table that the schema names."""

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
"""Records of either outcome that an evaluation should have (Collins, Ogundimu and Altman, "Sample size
considerations for the external validation of a multivariable prognostic model", 2016)."""
MEASURES = {
    "auc": "AUC",
    "log_loss": "Log loss (nats)",
    "in_the_large": "Share positive minus mean probability",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}


@dataclass(frozen=True)
class Subgroup:
    """Some records, and how they are predicted out of fold.

    Attributes:
        rows: bool (n,).
        estimates: by :data:`MEASURES`; None where the group has none.
    """

    split: str
    name: str
    rows: np.ndarray
    n_positive: int
    estimates: dict[str, Estimate | None]

    @property
    def n(self) -> int:
        """How many records."""
        return int(self.rows.sum())


def evaluate_subgroups(context: ReportContext) -> list[Subgroup]:
    """All records, and every group of every split; none of a split that may not be shown."""
    labels = context.table.labels
    found = [_evaluate(context, "", "All records", np.ones(len(labels), bool))]
    for split in context.schema.subgroups:
        column = next(one for one in context.schema.columns if one.name == split.column)
        parts = _partition(
            column, split, context.table.values[:, context.schema.columns.index(column)]
        )
        if context.is_private and any(_is_small(labels[rows]) for _, rows in parts):
            continue
        found += [_evaluate(context, column.title, name, rows) for name, rows in parts]
    return found


def subgroups(context: ReportContext) -> Section:
    """Figures of every group with their intervals."""
    found = evaluate_subgroups(context)
    splits = context.schema.subgroups
    if not splits:
        text = "The schema names no columns by which groups are to be told apart."
        return Section("subgroups", "Subgroups", [text])
    shown = {group.split for group in found}
    titles = {one.name: one.title for one in context.schema.columns}
    hidden = [titles[one.column] for one in splits if titles[one.column] not in shown]
    blocks: list[Block] = [
        "The same out-of-fold probabilities and threshold, group by group. Intervals are those of "
        "a bootstrap of records. A difference between two groups whose intervals overlap may be "
        "chance; and equal figures would not show that the model is fair.",
        TableBlock(
            ("Group", "Records", "Positive", *MEASURES.values()),
            [_row(group) for group in found],
            "Figures by group, out of fold, with 95 % intervals.",
        ),
    ]
    few = [
        _full_name(g)
        for g in found[1:]
        if min(g.n_positive, g.n - g.n_positive) < MIN_RECORDS_PER_OUTCOME
    ]
    if few:
        blocks.append(
            f"Fewer than {MIN_RECORDS_PER_OUTCOME} records of one outcome, which makes the "
            f"intervals wide and the figures uncertain: {join_with_and(few)}."
        )
    if hidden:
        blocks.append(
            f"Not shown, because a group has fewer than {MIN_CELL_COUNT} records of one outcome "
            f"and the rows of this table must not leave: {join_with_and(hidden)}."
        )
    if len(found) > 1:
        blocks.append(_forest_plot(found))
    return Section("subgroups", "Subgroups", blocks)


def _partition(
    column: Column, split: Subgroups, values: np.ndarray
) -> list[tuple[str, np.ndarray]]:
    """Levels, or ranges between the cuts; groups that nobody is in are left out."""
    if column.levels:
        parts = [(level.label, values == level.code) for level in column.levels]
    else:
        known = values[~np.isnan(values)]
        cuts = split.cuts or _thirds(known)
        ends = [-math.inf, *cuts, math.inf]
        parts = [
            (_range_name(low, high, column.unit), (values >= low) & (values < high))
            for low, high in itertools.pairwise(ends)
        ]
    parts.append(("not known", np.isnan(values)))
    return [(name, rows) for name, rows in parts if rows.any()]


def _thirds(known: np.ndarray) -> tuple[float, ...]:
    """Round numbers near a third and two thirds of the way."""
    if not len(known):
        return ()
    edges = nice_edges(float(known.min()), float(known.max()), 20)
    near = [edges[np.abs(edges - third).argmin()] for third in np.quantile(known, [1 / 3, 2 / 3])]
    return tuple(float(cut) for cut in np.unique(near))


def _range_name(low: float, high: float, unit: str) -> str:
    of_unit = f" {unit}" if unit else ""
    if math.isinf(low):
        return f"below {high:g}{of_unit}"
    if math.isinf(high):
        return f"{low:g}{of_unit} and above"
    return f"{low:g} to below {high:g}{of_unit}"


def _is_small(labels: np.ndarray) -> bool:
    return min(int(labels.sum()), int((1 - labels).sum())) < MIN_CELL_COUNT


def _evaluate(context: ReportContext, split: str, name: str, rows: np.ndarray) -> Subgroup:
    labels = context.table.labels[rows]
    given = context.out_of_fold[:, rows]
    everyone = np.ones((1, len(labels)))
    values = _compute_measures(context, labels, given, everyone)
    draws = bootstrap_statistic(
        lambda weights: _compute_measures(context, labels, given, weights[:, rows]),
        context.table.groups,
        seed=SEED,
    )
    figures = dict(zip(MEASURES, map(estimate_or_none, draws.T, values.T), strict=True))
    return Subgroup(split, name, rows, int(labels.sum()), figures)


def _compute_measures(
    context: ReportContext, labels: np.ndarray, given: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(b, n_measures); NaN for a sample that has none."""
    called = (given >= context.at_threshold.threshold).mean(axis=0)
    ill, healthy = weights * (labels == 1), weights * (labels == 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_name = {
            "auc": auc(labels, given, weights),
            "log_loss": log_loss(labels, given, weights),
            "in_the_large": weights @ (labels - given.mean(axis=0)) / weights.sum(axis=1),
            "sensitivity": ill @ called / ill.sum(axis=1),
            "specificity": healthy @ (1 - called) / healthy.sum(axis=1),
        }
    return np.stack([by_name[measure] for measure in MEASURES], axis=1)


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
def _forest_plot(found: Sequence[Subgroup]) -> FigureBlock:
    shown = ("auc", "in_the_large", "sensitivity", "specificity")
    figure, axes = panels(len(shown), height=0.9 + 0.3 * len(found), sharey=True)
    places = np.arange(len(found))
    for ax, name in zip(axes, shown, strict=True):
        for place, group in zip(places, found, strict=True):
            one = group.estimates[name]
            if one is None:
                continue
            ax.errorbar(
                one.value,
                place,
                xerr=[[max(one.value - one.low, 0)], [max(one.high - one.value, 0)]],
                color=COLOURS[0],
                marker=MARKERS[0],
                capsize=2.5,
                elinewidth=1.2,
            )
        whole = found[0].estimates[name]
        if whole is not None:
            ax.axvline(whole.value, color=COLOURS[5], linestyle=DASHES[2], linewidth=1)
        ax.grid(visible=False, axis="y")
        label(ax, {"in_the_large": "share minus\nprobability"}.get(name, MEASURES[name] + "\n"), "")
    axes[0].set_yticks(
        places, [f"{escape_mathtext(_full_name(g))} ({format_number(g.n, 0)})" for g in found]
    )
    axes[0].invert_yaxis()
    return FigureBlock(
        as_svg(figure, "Figures of every group with their intervals, beside those of all records."),
        "Figures by group with 95 % intervals; in brackets the number of records. The dotted line "
        "is the figure of all records.",
    )
