"""What there is to say about a record beside its probability: what was missing, what is unfamiliar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from model.manifest import TrainingRange
from model.schema import Column, Schema


class Caution(msgspec.Struct, frozen=True):
    """Why an answer deserves less trust: a value of the record that training did not see."""

    field: str
    code: str
    message: str


class Remarks(NamedTuple):
    """What there is to say about one record.

    Attributes:
        missing: the columns that were missing, in schema order.
        warnings: values outside what training saw, in schema order.
    """

    missing: tuple[str, ...] = ()
    warnings: tuple[Caution, ...] = ()


class Familiar:
    """What training saw of each column.

    Args:
        ranges: by column, of the manifest.
    """

    def __init__(self, schema: Schema, ranges: Mapping[str, TrainingRange]) -> None:
        self._columns = [_SeenColumn(column, ranges[column.name]) for column in schema.columns]
        self._low = np.array([column.low for column in self._columns], dtype=np.float32)
        self._high = np.array([column.high for column in self._columns], dtype=np.float32)
        self._ends = list(zip(self._low.tolist(), self._high.tolist(), strict=True))
        self._has_gap = np.array([column.has_gap for column in self._columns])
        self._no_gaps = not self._has_gap.any()

    def remarks(self, values: np.ndarray) -> dict[int, Remarks]:
        """Remarks by row, for the rows about which there are any; usually none.

        Args:
            values: float32 (n, n_columns), missing as NaN.
        """
        missing: dict[int, list[str]] = {}
        cautions: dict[int, list[Caution]] = {}
        columns = np.ascontiguousarray(values.T)  # far faster to look through, column by column
        for index in self._odd_columns(columns):
            seen, column = self._columns[index], columns[index]
            for row in np.flatnonzero(~seen.familiar(column)).tolist():
                if math.isnan(column[row]):
                    missing.setdefault(row, []).append(seen.name)
                else:
                    cautions.setdefault(row, []).append(seen.caution)
        return {
            row: Remarks(tuple(missing.get(row, ())), tuple(cautions.get(row, ())))
            for row in sorted({*missing, *cautions})
        }

    def _odd_columns(self, columns: np.ndarray) -> list[int]:
        """Columns with a value about which there may be something to say.

        Args:
            columns: float32 (n_columns, n).
        """
        # NaN compares as False, so a missing value is not inside either. The ends of a column say
        # it for all its rows at once.
        if columns.shape[1] > 1:
            inside = (columns.min(axis=1) >= self._low) & (columns.max(axis=1) <= self._high)
            return np.flatnonzero(~inside | self._has_gap).tolist()
        return [
            index
            for index, (value, (low, high)) in enumerate(
                zip(columns[:, 0].tolist(), self._ends, strict=True)
            )
            if not low <= value <= high or not self._no_gaps
        ]


class _SeenColumn:
    """What training saw of one column: a range, or levels."""

    def __init__(self, column: Column, seen: TrainingRange) -> None:
        self.name = column.name
        self.has_gap = False
        self._levels: list[float] = []
        code, message = "outside_training_range", "the training table never holds it"
        # A column that was missing throughout has no range: every value is outside.
        self.low = math.inf if seen.minimum is None else seen.minimum
        self.high = -math.inf if seen.maximum is None else seen.maximum
        if seen.codes is not None:
            code, message = (
                "level_not_in_training",
                "no record of the training table has this level",
            )
            self.low = min(seen.codes, default=math.inf)
            self.high = max(seen.codes, default=-math.inf)
            self._levels = [float(level) for level in seen.codes]
            # A level that training did not see, between others that it did.
            between = (level for level in column.codes if self.low < level < self.high)
            self.has_gap = not set(between) <= set(seen.codes)
        elif seen.minimum is not None and seen.maximum is not None:
            message = f"the training table holds {seen.minimum:g} to {seen.maximum:g}"
            message += f" {column.unit}" if column.unit else ""
        self.caution = Caution(column.name, code, message)

    def familiar(self, values: np.ndarray) -> np.ndarray:
        """float32 (n,) → bool (n,); missing is not familiar."""
        if self.has_gap:
            return np.isin(values, self._levels)
        low, high = np.float32(self.low), np.float32(self.high)
        return (values >= low) & (values <= high)
