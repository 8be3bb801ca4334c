"""Counts of records by value and outcome, so coarse that no record shows where none may.

Where the rows of a table must not leave (the schema does not name the file as published), a count
below :data:`MIN_CELL_COUNT` of either outcome is not shown: the cell is merged with its neighbour, or a
level with the next rarest, until every count is at least that large. Merging rather than leaving
out, because a single count that was left out follows from the others and their sum (Hundepool and
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
    """Records with a value in a range, or at one of some levels.

    Attributes:
        low, high: of a number, from low to below high; NaN for levels.
        counts: records with the negative and with the positive outcome.
    """

    label: str
    counts: tuple[int, int]
    low: float = math.nan
    high: float = math.nan

    @property
    def n(self) -> int:
        """Records of either outcome."""
        return sum(self.counts)

    @property
    def is_small(self) -> bool:
        """Whether a count in it is too small to be shown of a table that must not leave."""
        return min(self.counts) < MIN_CELL_COUNT


def count_cells(
    column: Column, values: np.ndarray, labels: np.ndarray, *, private: bool
) -> list[Cell]:
    """Cells of the known values of one column: rising ranges, or levels as the schema orders them.

    Args:
        values: (n,), missing as NaN.
        labels: (n,) of 0 and 1.
        private: whether the rows must not leave.

    Returns:
        As few as none, where nothing is known or every count would be too small.
    """
    known = ~np.isnan(values)
    values, labels = values[known], labels[known]
    if not len(values):
        return []
    found = _levels(column, values, labels) if column.levels else _bins(values, labels)
    if private:
        found = _merge_levels(found) if column.levels else _merge_bins(found)
        found = [cell for cell in found if not cell.is_small]
    return found


def nice_edges(low: float, high: float, max_bins: int = MAX_BINS) -> np.ndarray:
    """Rising round numbers around a range, the last one above it, with at most so many steps.

    >>> nice_edges(29.0, 77.0)
    array([25., 30., 35., 40., 45., 50., 55., 60., 65., 70., 75., 80.])
    """
    width = (high - low) / (max_bins - 1) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(width))
    step = next(magnitude * s for s in STEP_SIZES if magnitude * s >= width * (1 - 1e-9))
    # A quotient that is a whole number but for its rounding counts as one.
    first, last = (math.floor(end / step + 1e-9) for end in (low, high))
    return np.round(np.arange(first, last + 2) * step, 3 - math.floor(math.log10(step)))


def range_label(low: float, high: float) -> str:
    """Such as ``45 to 50``: from the one to below the other."""
    return f"{low:g} to {high:g}".replace("-", "\N{MINUS SIGN}")


def _bins(values: np.ndarray, labels: np.ndarray) -> list[Cell]:
    edges = nice_edges(float(values.min()), float(values.max()))
    place = np.clip(np.digitize(values, edges) - 1, 0, len(edges) - 2)
    return [
        Cell(range_label(low, high), _count(labels[place == i]), float(low), float(high))
        for i, (low, high) in enumerate(itertools.pairwise(edges))
    ]


def _levels(column: Column, values: np.ndarray, labels: np.ndarray) -> list[Cell]:
    """Levels that nobody has are left out: the schema names them, the table does not."""
    found = [Cell(level.label, _count(labels[values == level.code])) for level in column.levels]
    return [cell for cell in found if cell.n]


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
    """The rarest levels together, as many as are needed, in the place of the last of them."""
    ranked = sorted(range(len(cells)), key=lambda i: min(cells[i].counts))
    n_small = sum(cell.is_small for cell in cells)
    if not n_small:
        return list(cells)
    for n_merged in range(max(n_small, 2), len(cells) + 1):
        chosen = sorted(ranked[:n_merged])
        other = cells[chosen[0]]
        for i in chosen[1:]:
            other = _join(other, cells[i])
        if not other.is_small or n_merged == len(cells):
            kept = [cell for i, cell in enumerate(cells) if i not in chosen]
            return [*kept, other]
    return list(cells)


def _join(one: Cell, other: Cell) -> Cell:
    counts = (one.counts[0] + other.counts[0], one.counts[1] + other.counts[1])
    if math.isnan(one.low):
        return Cell(f"{one.label}; {other.label}", counts)
    return Cell(range_label(one.low, other.high), counts, one.low, other.high)


def _count(labels: np.ndarray) -> tuple[int, int]:
    return int((labels == 0).sum()), int((labels == 1).sum())
