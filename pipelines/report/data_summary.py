"""Summary of the table: distributions by outcome, missing values and duplicate records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.schema import Column
from pipelines.data import Table
from pipelines.html import COLOURS, FILLS, as_svg, label, panels, plot_style
from pipelines.report.blocks import (
    Block,
    FigureBlock,
    Section,
    TableBlock,
    escape_mathtext,
    format_number,
    percent,
    wrapped,
)
from pipelines.report.context import ReportContext
from pipelines.report.disclosure_control import MIN_CELL_COUNT, Cell, count_cells

COLUMNS_PER_FIGURE = 12
"""Most columns of the table in one figure."""


def data_summary(context: ReportContext) -> Section:
    """Return the section on the data: distributions by outcome, missing values and duplicates.

    Args:
        context: the training that the report is about.
    """
    table, outcome = context.table, context.schema.outcome
    n, n_positive = len(table), context.n_positive
    blocks: list[Block] = [
        f"{table.file}: {n} records. {n_positive} of them ({percent(n_positive / n)}) are "
        f"“{outcome.positive}” ({outcome.rule}), {n - n_positive} are “{outcome.negative}”.",
        _duplicates(table),
        *(f"The reader of the table remarks: {warning}." for warning in table.warnings),
        _summary_table(context),
    ]
    for title, kinds in (("Numbers", ("number",)), ("Levels", ("ordinal", "category"))):
        columns = [column for column in context.schema.columns if column.kind in kinds]
        for start in range(0, len(columns), COLUMNS_PER_FIGURE):
            blocks.append(
                _distributions(context, columns[start : start + COLUMNS_PER_FIGURE], title)
            )
    if context.is_private:
        blocks.append(
            "The schema does not name this file as published, so no record may show: ranges and "
            f"levels with fewer than {MIN_CELL_COUNT} records of either outcome are merged with "
            "others, heights are rounded to whole percent, and medians, quartiles and commonest "
            "levels are left out."
        )
    return Section("data", "The data at a glance", blocks)


def _duplicates(table: Table) -> str:
    n, n_unique = len(table), len(np.unique(table.groups))
    if n == n_unique:
        return "No two records are the same in every column."
    return (
        f"{n - n_unique} of them repeat another record; copies are kept on one side of every "
        "split, and are drawn together in every bootstrap sample."
    )


def _summary_table(context: ReportContext) -> TableBlock:
    rows = []
    labels = context.table.labels
    for index, column in enumerate(context.schema.columns):
        values = context.table.values[:, index]
        missing = int(np.isnan(values).sum())
        rows.append(
            (
                f"{column.title} ({column.name})",
                "levels" if column.levels else column.unit or "a number without a unit",
                *(_typical_value(context, column, values[labels == code]) for code in (0, 1)),
                f"{missing} ({percent(missing / len(values), 1)})" if missing else "none",
            )
        )
    outcome = context.schema.outcome
    return TableBlock(
        ("Column", "Unit", outcome.negative, outcome.positive, "Missing"),
        rows,
        "Median and quartiles of numbers, the commonest level of the others, by outcome.",
    )


def _typical_value(context: ReportContext, column: Column, values: np.ndarray) -> str:
    known_values = values[~np.isnan(values)]
    if not len(known_values):
        return format_number(None)
    if context.is_private:
        return "not shown"
    if column.levels:
        counts = {level.label: int((known_values == level.code).sum()) for level in column.levels}
        most_common = max(counts, key=lambda name: counts[name])
        return f"{most_common}: {percent(counts[most_common] / len(known_values))}"
    low, median, high = np.quantile(known_values, [0.25, 0.5, 0.75])
    return f"{median:g} ({low:g} to {high:g})".replace("-", "\N{MINUS SIGN}")


@plot_style()
def _distributions(context: ReportContext, columns: Sequence[Column], title: str) -> FigureBlock:
    numbers = columns[0].kind == "number"
    n_columns = 3 if numbers else 2
    n_rows = -(-len(columns) // n_columns)
    row_height = 1.9 if numbers else _row_height(context, columns)
    figure, axes = panels(n_columns, n_rows, height=row_height)
    for ax in axes[len(columns) :]:
        ax.set_visible(False)
    for ax, column in zip(axes, columns, strict=False):
        cells = _cells(context, column)
        if not cells:
            ax.text(0.5, 0.5, "too few to show", ha="center", va="center", transform=ax.transAxes)
        elif numbers:
            _density(ax, column, _percentages(context, cells), cells)
        else:
            _bars(ax, _percentages(context, cells), cells)
        ax.set_title(wrapped(column.title, 26 if numbers else 44))
    outcome = context.schema.outcome
    names = [escape_mathtext(outcome.negative), escape_mathtext(outcome.positive)]
    if any(ax.get_legend_handles_labels()[0] for ax in axes):
        handles = next(h for ax in axes if (h := ax.get_legend_handles_labels()[0]))
        figure.legend(handles, names, loc="outside upper right", ncols=2)
    alt = f"{title} by outcome: {', '.join(column.title for column in columns)}."
    description = (
        "of the records of either outcome, per unit of the column, so that areas compare"
        if numbers
        else "of the records of either outcome at each level"
    )
    return FigureBlock(as_svg(figure, alt), f"{title} by outcome: the share {description}.")


def _cells(context: ReportContext, column: Column) -> list[Cell]:
    index = context.schema.column_names.index(column.name)
    return count_cells(
        column, context.table.values[:, index], context.table.labels, private=context.is_private
    )


def _percentages(context: ReportContext, cells: Sequence[Cell]) -> np.ndarray:
    """Return (2, n_cells): the percentages of the negative and of the positive records."""
    counts = np.array([cell.counts for cell in cells], float).T
    percentages = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.round(percentages) if context.is_private else percentages


def _density(ax: Any, column: Column, percentages: np.ndarray, cells: Sequence[Cell]) -> None:
    edges = np.array([*(cell.low for cell in cells), cells[-1].high])
    negative, positive = percentages / np.diff(edges)
    ax.stairs(negative, edges, fill=True, color=FILLS[1], label="negative")
    ax.stairs(positive, edges, color=COLOURS[1], linewidth=1.8, label="positive")
    unit = escape_mathtext(column.unit)
    label(ax, unit or "no unit", f"density (% / {f'({unit})' if '/' in unit else unit or '1'})")


def _bars(ax: Any, percentages: np.ndarray, cells: Sequence[Cell]) -> None:
    positions = np.arange(len(cells))
    ax.barh(positions - 0.2, percentages[0], 0.38, color=FILLS[1], label="negative")
    ax.barh(positions + 0.2, percentages[1], 0.38, color=COLOURS[1], label="positive")
    ax.set_yticks(positions, [wrapped(cell.label) for cell in cells])
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    label(ax, "% of the records", "")


def _row_height(context: ReportContext, columns: Sequence[Column]) -> float:
    """Return the height of a row of panels, in inches, from the panel with most lines of labels."""
    lines = [
        sum(max(2, wrapped(cell.label).count("\n") + 1) for cell in _cells(context, column))
        for column in columns
    ]
    return 0.75 + 0.17 * max([4, *lines])
