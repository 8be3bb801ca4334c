"""Counts of records by value and outcome, merged until they disclose no record of a private table.

A table is private if the schema does not list its file as published. Then a count below
:data:`MIN_CELL_COUNT` of either outcome is not shown. Its cell is merged with the next cell, or a
level with the next rarest level, until every count is at least that large. Cells are merged and not
suppressed, because a single suppressed count follows from the others and their sum (Hundepool and
others, Statistical Disclosure Control, 2012, chapter 5).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.schema import Column

MIN_CELL_COUNT = 5
MAX_BINS = 12
STEP_SIZES = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Cell:
    """The records with a value in a range, or with one of several levels.

    Attributes:
        label: the range or the levels as text.
        counts: the numbers of records with the negative and with the positive outcome.
        low, high: the range of a number, from low to below high; NaN for levels.
    """

    label: str
    counts: tuple[int, int]
    low: float = math.nan
    high: float = math.nan

    @property
    def n(self) -> int:
        """The number of records of both outcomes."""
        return sum(self.counts)

    @property
    def is_small(self) -> bool:
        """True if a count is too small to be shown for a private table."""
        return min(self.counts) < MIN_CELL_COUNT


def count_cells(
    column: Column, values: np.ndarray, labels: np.ndarray, *, private: bool
) -> list[Cell]:
    """Count the known values of one column by outcome.

    Args:
        column: the column of the schema.
        values: (n,), missing as NaN.
        labels: (n,) of 0 and 1.
        private: merge the cells with small counts.

    Returns:
        Ranges in ascending order, or levels in the order of the schema with merged levels last.
        Levels without a record are left out. Empty if no value is known, or if every count would be
        too small.
    """
    known = ~np.isnan(values)
    values, labels = values[known], labels[known]
    if not len(values):
        return []
    cells = _levels(column, values, labels) if column.levels else _bins(values, labels)
    if private:
        cells = _merge_levels(cells) if column.levels else _merge_bins(cells)
        cells = [cell for cell in cells if not cell.is_small]
    return cells


def nice_edges(low: float, high: float, max_bins: int = MAX_BINS) -> np.ndarray:
    """Return round bin edges that contain a range, the last edge above ``high``.

    Args:
        low, high: the range.
        max_bins: most bins.

    Returns:
        Ascending, equally spaced edges.

    >>> nice_edges(29.0, 77.0)
    array([25., 30., 35., 40., 45., 50., 55., 60., 65., 70., 75., 80.])
    """
    width = (high - low) / (max_bins - 1) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(width))
    step = next(magnitude * s for s in STEP_SIZES if magnitude * s >= width * (1 - 1e-9))
    # The tolerance keeps an end that is a multiple of the step, up to rounding, on its own edge.
    first, last = (math.floor(end / step + 1e-9) for end in (low, high))
    return np.round(np.arange(first, last + 2) * step, 3 - math.floor(math.log10(step)))


def range_label(low: float, high: float) -> str:
    """Return the text of the range from low to below high, such as ``45 to 50``."""
    return f"{low:g} to {high:g}".replace("-", "\N{MINUS SIGN}")


def _bins(values: np.ndarray, labels: np.ndarray) -> list[Cell]:
    edges = nice_edges(float(values.min()), float(values.max()))
    bin_index = np.clip(np.digitize(values, edges) - 1, 0, len(edges) - 2)
    return [
        Cell(range_label(low, high), _count(labels[bin_index == index]), float(low), float(high))
        for index, (low, high) in enumerate(itertools.pairwise(edges))
    ]


def _levels(column: Column, values: np.ndarray, labels: np.ndarray) -> list[Cell]:
    """Count the levels that occur in the table; the schema may declare others."""
    cells = [Cell(level.label, _count(labels[values == level.code])) for level in column.levels]
    return [cell for cell in cells if cell.n]


def _merge_bins(cells: Sequence[Cell]) -> list[Cell]:
    merged: list[Cell] = []
    for cell in cells:
        if merged and merged[-1].is_small:
            merged[-1] = _join(merged[-1], cell)
        else:
            merged.append(cell)
    while len(merged) > 1 and merged[-1].is_small:
        merged[-2:] = [_join(merged[-2], merged[-1])]
    return merged


def _merge_levels(cells: Sequence[Cell]) -> list[Cell]:
    """Merge the rarest levels, as few as suffice, into one cell at the end."""
    ranked = sorted(range(len(cells)), key=lambda i: min(cells[i].counts))
    n_small = sum(cell.is_small for cell in cells)
    if not n_small:
        return list(cells)
    for n_merged in range(max(n_small, 2), len(cells) + 1):
        merged_indices = sorted(ranked[:n_merged])
        merged_cell = cells[merged_indices[0]]
        for i in merged_indices[1:]:
            merged_cell = _join(merged_cell, cells[i])
        if not merged_cell.is_small or n_merged == len(cells):
            kept = [cell for i, cell in enumerate(cells) if i not in merged_indices]
            return [*kept, merged_cell]
    return list(cells)


def _join(first: Cell, second: Cell) -> Cell:
    counts = (first.counts[0] + second.counts[0], first.counts[1] + second.counts[1])
    if math.isnan(first.low):
        return Cell(f"{first.label}; {second.label}", counts)
    return Cell(range_label(first.low, second.high), counts, first.low, second.high)


def _count(labels: np.ndarray) -> tuple[int, int]:
    return int((labels == 0).sum()), int((labels == 1).sum())
