"""Permutation importance of the columns.

The values of a column are shuffled among the test records of a fold, and the increase of the log
loss is measured (Breiman, "Random forests", 2001; Fisher, Rudin and Dominici, "All models are
wrong, but many are useful", 2019). The networks were not trained on these records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.evaluation import Estimate, bootstrap_statistic, estimate, record_log_losses
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
"""Shuffles of each column."""


@dataclass(frozen=True)
class Importance:
    """The importance of one column, in nats of log loss.

    Attributes:
        column: the column of the schema.
        loss_increase: the mean over records, shuffles and networks, with its 95 % interval from a
            bootstrap of records.
        shuffles: (N_SHUFFLES,), the mean over all records, for each shuffle.
        folds: (n_folds,), the mean over shuffles and records, for each fold.
    """

    column: Column
    loss_increase: Estimate
    shuffles: np.ndarray
    folds: np.ndarray


def permutation_importance(
    context: ReportContext, auxiliary: AuxiliaryNetworks
) -> list[Importance]:
    """Compute the importance of every column, in descending order.

    Args:
        context: the training that the report is about.
        auxiliary: the networks trained for the report.
    """
    table = auxiliary.table
    baseline_losses = held_out_losses(
        context, auxiliary, [table.values[rows] for rows in held_out_rows(auxiliary)]
    )
    rng = np.random.default_rng(SEED)
    importances = []
    for index, column in enumerate(table.schema.columns):
        shuffled = [
            shuffle_column(table.values[rows], index, rng) for rows in held_out_rows(auxiliary)
        ]
        losses = held_out_losses(context, auxiliary, shuffled)
        importances.append(_summarise(column, auxiliary, losses, baseline_losses))
    return sorted(importances, key=lambda importance: -importance.loss_increase.value)


def importance_section(context: ReportContext, auxiliary: AuxiliaryNetworks) -> Section:
    """Return the section on permutation importance: a figure and a table.

    Args:
        context: the training that the report is about.
        auxiliary: the networks trained for the report.
    """
    importances = permutation_importance(context, auxiliary)
    uncertain = [
        importance.column.title for importance in importances if importance.loss_increase.low <= 0
    ]
    return Section(
        "importance",
        "What the model looks at",
        [
            f"Each column was shuffled {N_SHUFFLES} times among the records of a fold, which the "
            f"fold's {N_SEEDS} networks had not seen. The rise of their log loss is what they took "
            "from the column and could take from no other: of two columns that say the same, "
            "neither is important. It describes the networks, and says nothing of causes.",
            _dots(importances),
            TableBlock(
                ("Column", "Rise of the log loss, nats", "sd over shuffles", "sd over folds"),
                [
                    (
                        importance.column.title,
                        with_interval(importance.loss_increase, 4, "+"),
                        format_number(float(importance.shuffles.std(ddof=1)), 4),
                        format_number(float(importance.folds.std(ddof=1)), 4),
                    )
                    for importance in importances
                ],
                "Permutation importance out of fold, with 95 % intervals from a bootstrap of "
                "records.",
            ),
            *(
                [
                    f"The interval of {len(uncertain)} of {len(importances)} columns does not lie "
                    "above zero: these records do not show that the networks gain anything from "
                    "them."
                ]
                if uncertain
                else []
            ),
        ],
    )


def held_out_rows(auxiliary: AuxiliaryNetworks) -> list[np.ndarray]:
    """Return the rows of every fold's test records, padded to equal length by repetition."""
    longest = max(len(fold.test) for fold in auxiliary.folds.rows)
    return [np.resize(fold.test, longest) for fold in auxiliary.folds.rows]


def shuffle_column(values: np.ndarray, index: int, rng: np.random.Generator) -> np.ndarray:
    """Shuffle one column of some records N_SHUFFLES times.

    Args:
        values: (m, n_columns).
        index: the column.
        rng: the random generator.

    Returns:
        (N_SHUFFLES * m, n_columns), the shuffled copies one after another.
    """
    shuffled = np.tile(values, (N_SHUFFLES, 1))
    orders = rng.permuted(np.tile(np.arange(len(values)), (N_SHUFFLES, 1)), axis=1)
    shuffled[:, index] = values[orders.reshape(-1), index]
    return shuffled


def held_out_losses(
    context: ReportContext, auxiliary: AuxiliaryNetworks, values: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the log loss of copies of the folds' test records, each the mean over the seeds.

    Args:
        context: the training that the report is about.
        auxiliary: the networks trained for the report.
        values: (n_copies * m, n_columns) per fold, copies of the m records of
            :func:`held_out_rows`.

    Returns:
        float64 (n_folds, n_copies, m), in nats.
    """
    labels = np.stack([auxiliary.table.labels[rows] for rows in held_out_rows(auxiliary)])
    predictions = context.calibrated(auxiliary.folds.predict(values))
    by_copy = predictions.reshape(len(labels), N_SEEDS, -1, labels.shape[1])
    return record_log_losses(labels[:, None, None, :], by_copy).mean(axis=1)


def _summarise(
    column: Column, auxiliary: AuxiliaryNetworks, losses: np.ndarray, baseline_losses: np.ndarray
) -> Importance:
    """Return the importance of a column from the losses (n_folds, n_copies, m) of the folds."""
    table, increases = auxiliary.table, losses - baseline_losses
    increase_by_record = np.empty((increases.shape[1], len(table)))
    for number, fold in enumerate(auxiliary.folds.rows):
        increase_by_record[:, fold.test] = increases[number, :, : len(fold.test)]
    record_increases = increase_by_record.mean(axis=0)
    draws = bootstrap_statistic(
        lambda weights: weights @ record_increases / weights.sum(axis=1), table.groups, seed=SEED
    )
    return Importance(
        column=column,
        loss_increase=estimate(draws, record_increases.mean()),
        shuffles=increase_by_record.mean(axis=1),
        folds=np.array([record_increases[fold.test].mean() for fold in auxiliary.folds.rows]),
    )


@plot_style()
def _dots(importances: Sequence[Importance]) -> FigureBlock:
    figure, (axes,) = panels(1, height=0.9 + 0.27 * len(importances))
    positions = np.arange(len(importances))
    for position, importance in zip(positions, importances, strict=True):
        axes.plot(
            importance.folds,
            np.full(len(importance.folds), position),
            linestyle="none",
            marker="|",
            markersize=7,
            color=FILLS[3],
            label="one fold" if position == 0 else None,
        )
    estimates = [importance.loss_increase for importance in importances]
    values = np.array([bar.value for bar in estimates])
    errors = [
        [max(bar.value - bar.low, 0) for bar in estimates],
        [max(bar.high - bar.value, 0) for bar in estimates],
    ]
    axes.errorbar(
        values,
        positions,
        xerr=errors,
        color=COLOURS[0],
        marker=MARKERS[0],
        linestyle="none",
        elinewidth=1.6,
        capsize=3,
        label="all records, 95 % interval",
    )
    axes.axvline(0, color=COLOURS[5], linewidth=1)
    axes.set_yticks(
        positions, [escape_mathtext(importance.column.title) for importance in importances]
    )
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    label(axes, "rise of the log loss when the column is shuffled (nats)", "")
    axes.legend(loc="lower right")
    first = importances[0].column.title
    return FigureBlock(
        as_svg(figure, f"Permutation importance of every column; the largest is that of {first}."),
        "Permutation importance out of fold. Thin strokes are single folds, of a tenth of the "
        "records each.",
    )
