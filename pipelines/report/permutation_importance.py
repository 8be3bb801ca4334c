"""What the model looks at: how much worse it predicts when a column says nothing.

Permutation importance (Breiman, "Random forests", 2001; Fisher, Rudin and Dominici, "All models are
wrong, but many are useful", 2019) on records that the networks did not see: a column's values are
shuffled among the records of a fold, and the log loss rises by what the networks took from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation import Estimate, bootstrap_statistic, estimate
from model.logit import SMALLEST_PROBABILITY
from model.schema import Column
from pipelines.evaluation import SEED
from pipelines.html import COLOURS, FILLS, MARKERS, as_svg, label, panels, plot_style
from pipelines.report.auxiliary_networks import N_SEEDS, AuxiliaryNetworks
from pipelines.report.blocks import (
    FigureBlock,
    Section,
    TableBlock,
    escape_mathtext,
    format_number,
    with_interval,
)
from pipelines.report.context import ReportContext

N_SHUFFLES = 20


@dataclass(frozen=True)
class Importance:
    """Of one column, in nats of log loss.

    Attributes:
        loss_increase: mean over records, shuffles and networks, with its 95 % interval over records.
        shuffles: (N_SHUFFLES,), the mean over all records of every single shuffle.
        folds: (n_folds,), the mean of every fold.
    """

    column: Column
    loss_increase: Estimate
    shuffles: np.ndarray
    folds: np.ndarray


def permutation_importance(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> list[Importance]:
    """Of every column, the most important one first."""
    table = auxiliary.table
    whole = losses_of(context, auxiliary, [table.values[rows] for rows in held_rows(auxiliary)])
    draw = np.random.default_rng(SEED)
    found = []
    for index, column in enumerate(table.schema.columns):
        shuffled = [_shuffled(table.values[rows], index, draw) for rows in held_rows(auxiliary)]
        losses = losses_of(context, auxiliary, shuffled)
        found.append(_summarise(column, auxiliary, losses, whole))
    return sorted(found, key=lambda one: -one.loss_increase.value)


def importance_section(context: ReportContext, auxiliary: AuxiliaryNetworks) -> Section:
    """The importance of the columns, as a figure and as numbers."""
    found = permutation_importance(context, auxiliary)
    unclear = [one.column.title for one in found if one.loss_increase.low <= 0]
    return Section(
        "importance",
        "What the model looks at",
        [
            f"Each column was shuffled {N_SHUFFLES} times among the records of a fold, which the "
            f"fold's {N_SEEDS} networks had not seen. The rise of their log loss is what they took "
            "from the column and could take from no other: of two columns that say the same, neither "
            "is important. It describes the networks, and says nothing of causes.",
            _dots(found),
            TableBlock(
                ("Column", "Rise of the log loss, nats", "sd over shuffles", "sd over folds"),
                [
                    (
                        one.column.title,
                        with_interval(one.loss_increase, 4, "+"),
                        format_number(float(one.shuffles.std(ddof=1)), 4),
                        format_number(float(one.folds.std(ddof=1)), 4),
                    )
                    for one in found
                ],
                "Permutation importance out of fold, with 95 % intervals from a bootstrap of records.",
            ),
            *(
                [f"The interval of {len(unclear)} of {len(found)} columns does not lie above zero: "
                 "these records do not show that the networks gain anything from them."]
                if unclear
                else []
            ),
        ],
    )  # fmt: skip


def held_rows(auxiliary: AuxiliaryNetworks) -> list[np.ndarray]:
    """Rows of every fold's own records, as many of each: a short fold repeats its first."""
    longest = max(len(test) for _, test in auxiliary.splits)
    return [np.resize(test, longest) for _, test in auxiliary.splits]


def _shuffled(values: np.ndarray, index: int, draw: np.random.Generator) -> np.ndarray:
    """(m, c) → (N_SHUFFLES * m, c)"""
    many = np.tile(values, (N_SHUFFLES, 1))
    orders = draw.permuted(np.tile(np.arange(len(values)), (N_SHUFFLES, 1)), axis=1)
    many[:, index] = values[orders.reshape(-1), index]
    return many


def losses_of(
    context: ReportContext, auxiliary: AuxiliaryNetworks, values: Sequence[np.ndarray]
) -> np.ndarray:
    """(n_folds, times, m): log loss of every record as often as it stands there, over the seeds."""
    labels = np.stack([auxiliary.table.labels[rows] for rows in held_rows(auxiliary)])
    given = context.calibrated(auxiliary.predict_folds(values))
    p = np.clip(given, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY).reshape(
        len(labels), N_SEEDS, -1, labels.shape[1]
    )
    positive = labels[:, None, None, :] == 1
    return -np.where(positive, np.log(p), np.log1p(-p)).mean(axis=1)


def _summarise(
    column: Column, auxiliary: AuxiliaryNetworks, losses: np.ndarray, whole: np.ndarray
) -> Importance:
    """Put the records of the folds back into their places."""
    table, risen = auxiliary.table, losses - whole
    rises = np.empty((risen.shape[1], len(table)))
    for number_, (_, test) in enumerate(auxiliary.splits):
        rises[:, test] = risen[number_, :, : len(test)]
    of_record = rises.mean(axis=0)
    draws = bootstrap_statistic(
        lambda weights: weights @ of_record / weights.sum(axis=1), table.groups, seed=SEED
    )
    return Importance(
        column=column,
        loss_increase=estimate(draws, of_record.mean(keepdims=True)),
        shuffles=rises.mean(axis=1),
        folds=np.array([of_record[test].mean() for _, test in auxiliary.splits]),
    )


@plot_style()
def _dots(found: Sequence[Importance]) -> FigureBlock:
    figure, (axes,) = panels(1, height=0.9 + 0.27 * len(found))
    places = np.arange(len(found))
    for place, one in zip(places, found, strict=True):
        axes.plot(
            one.folds, np.full(len(one.folds), place), linestyle="none", marker="|",
            markersize=7, color=FILLS[3], label="one fold" if place == 0 else None,
        )  # fmt: skip
    values = np.array([one.loss_increase.value for one in found])
    ends = np.array([[one.loss_increase.value - one.loss_increase.low for one in found],
                     [one.loss_increase.high - one.loss_increase.value for one in found]])  # fmt: skip
    axes.errorbar(
        values, places, xerr=np.maximum(ends, 0), color=COLOURS[0], marker=MARKERS[0],
        linestyle="none", elinewidth=1.6, capsize=3, label="all records, 95 % interval",
    )  # fmt: skip
    axes.axvline(0, color=COLOURS[5], linewidth=1)
    axes.set_yticks(places, [escape_mathtext(one.column.title) for one in found])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    label(axes, "rise of the log loss when the column is shuffled (nats)", "")
    axes.legend(loc="lower right")
    first = found[0].column.title
    return FigureBlock(
        as_svg(figure, f"Permutation importance of every column; the largest is that of {first}."),
        "Permutation importance out of fold. Thin strokes are single folds, of a tenth of the "
        "records each.",
    )
