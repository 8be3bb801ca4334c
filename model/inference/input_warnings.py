"""Notes on records: missing values, and warnings about values outside the training data."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from model.artifacts import TrainingRange
from model.schema import Column, Schema

NOTES_CACHE_SIZE = 2_048
"""Patterns of missing and unfamiliar columns whose notes are kept."""


class InputWarning(msgspec.Struct, frozen=True):
    """A warning about a value of the record that is outside the training data."""

    field: str
    code: str
    message: str


class InputNotes(NamedTuple):
    """Notes on one record.

    Attributes:
        missing: names of the columns with a missing value, in schema order.
        warnings: values outside the training data, in schema order.
    """

    missing: tuple[str, ...] = ()
    warnings: tuple[InputWarning, ...] = ()


class TrainingRangeChecker:
    """Check of records against the training data of each column.

    Args:
        ranges: by column, as in the manifest.
    """

    def __init__(self, schema: Schema, ranges: Mapping[str, TrainingRange]) -> None:
        self._columns = [_ColumnRange(column, ranges[column.name]) for column in schema.columns]
        self._low = np.array([column.low for column in self._columns], dtype=np.float64)
        self._high = np.array([column.high for column in self._columns], dtype=np.float64)
        self._limits = list(zip(self._low.tolist(), self._high.tolist(), strict=True))
        self._has_gap = np.array([column.has_gap for column in self._columns])
        self._no_gaps = not self._has_gap.any()
        # Many rows share their notes. The cache holds no reference to this object: a reference
        # cycle would keep a replaced version in memory.
        self._notes_of_pattern: Callable[[bytes], InputNotes] = functools.lru_cache(
            NOTES_CACHE_SIZE
        )(functools.partial(_notes_of_pattern, self._columns))

    def check(self, values: np.ndarray) -> dict[int, InputNotes]:
        """Return the notes by row, for the rows that have any; usually none do.

        Args:
            values: float64 (n, n_columns), missing as NaN.
        """
        columns = np.ascontiguousarray(values.T)  # contiguous columns are far faster to compare
        suspicious = self._suspicious_columns(columns)
        if not suspicious:
            return {}
        if len(values) == 1:
            return self._check_single(columns[:, 0], suspicious)
        outside = np.array(
            [~self._columns[index].in_training_range(columns[index]) for index in suspicious]
        )
        rows = np.flatnonzero(outside.any(axis=0))
        flags = np.zeros((2, len(columns), len(rows)), dtype=bool)
        flags[0, suspicious] = np.isnan(columns[suspicious][:, rows])
        flags[1, suspicious] = outside[:, rows]
        bits = np.packbits(flags.reshape(-1, len(rows)), axis=0)
        patterns = np.ascontiguousarray(bits.T).view(f"V{len(bits)}")[:, 0].tolist()
        return dict(zip(rows.tolist(), map(self._notes_of_pattern, patterns), strict=True))

    def _check_single(self, values: np.ndarray, suspicious: Sequence[int]) -> dict[int, InputNotes]:
        """Check one row, the usual request, without grouping rows by pattern."""
        pairs = [(self._columns[index], values[index]) for index in suspicious]
        missing = [column.name for column, value in pairs if math.isnan(value)]
        warnings = [
            column.warning
            for column, value in pairs
            if not (math.isnan(value) or column.in_training_range(value))
        ]
        return {0: InputNotes(tuple(missing), tuple(warnings))} if missing or warnings else {}

    def _suspicious_columns(self, columns: np.ndarray) -> list[int]:
        """Return the indices of columns that may hold a missing value or one to warn about.

        Args:
            columns: float64 (n_columns, n).
        """
        # NaN compares as False, so a missing value is not inside. A column's minimum and maximum
        # decide for all its rows at once.
        if columns.shape[1] > 1:
            inside = (columns.min(axis=1) >= self._low) & (columns.max(axis=1) <= self._high)
            return np.flatnonzero(~inside | self._has_gap).tolist()
        return [
            index
            for index, (value, (low, high)) in enumerate(
                zip(columns[:, 0].tolist(), self._limits, strict=True)
            )
            if not low <= value <= high or not self._no_gaps
        ]


def _notes_of_pattern(columns: Sequence[_ColumnRange], pattern: bytes) -> InputNotes:
    """Return the notes on rows with one pattern.

    Args:
        pattern: packed bits, one a column that is set if its value is missing, then one a column
            that is set if its value is missing or outside the training data.
    """
    bits = np.unpackbits(np.frombuffer(pattern, np.uint8)).tolist()
    flags = list(zip(columns, bits, bits[len(columns) :], strict=False))
    return InputNotes(
        tuple(column.name for column, is_missing, _ in flags if is_missing),
        tuple(
            column.warning
            for column, is_missing, is_outside in flags
            if is_outside and not is_missing
        ),
    )


class _ColumnRange:
    """Training data of one column: a range, or the levels that occurred."""

    def __init__(self, column: Column, training_range: TrainingRange) -> None:
        self.name = column.name
        self.has_gap = False
        self._levels: list[float] = []
        code = "outside_training_range"
        message = "the training table has no value in this column"
        # A column without any known value in training has no range: every value is outside.
        minimum, maximum = training_range.minimum, training_range.maximum
        self.low = math.inf if minimum is None else minimum
        self.high = -math.inf if maximum is None else maximum
        if training_range.codes is not None:
            code = "level_not_in_training"
            message = "no record of the training table has this level"
            self.low = min(training_range.codes, default=math.inf)
            self.high = max(training_range.codes, default=-math.inf)
            self._levels = [float(level) for level in training_range.codes]
            # Levels between the lowest and the highest trained one may be untrained.
            between = (level for level in column.codes if self.low < level < self.high)
            self.has_gap = not set(between) <= set(training_range.codes)
        elif minimum is not None and maximum is not None:
            message = f"the training table holds {minimum:g} to {maximum:g}"
            message += f" {column.unit}" if column.unit else ""
        self.warning = InputWarning(column.name, code, message)

    def in_training_range(self, values: np.ndarray) -> np.ndarray:
        """Return which values are in the training data; a missing value is not.

        **Shape**: float64 (n,) → bool (n,).
        """
        if self.has_gap:
            return np.isin(values, self._levels)
        return (values >= self.low) & (values <= self.high)
