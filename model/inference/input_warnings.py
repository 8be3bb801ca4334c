"""What there is to say about a record beside its probability: what was missing, what is unfamiliar."""

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
"""Of rows with the same remarks, that are remembered in words."""


class InputWarning(msgspec.Struct, frozen=True):
    """Why an answer deserves less trust: a value of the record that training did not see."""

    field: str
    code: str
    message: str


class InputNotes(NamedTuple):
    """What there is to say about one record.

    Attributes:
        missing: the columns that were missing, in schema order.
        warnings: values outside what training saw, in schema order.
    """

    missing: tuple[str, ...] = ()
    warnings: tuple[InputWarning, ...] = ()


class TrainingRangeChecker:
    """What training saw of each column.

    Args:
        ranges: by column, of the manifest.
    """

    def __init__(self, schema: Schema, ranges: Mapping[str, TrainingRange]) -> None:
        self._columns = [_ColumnRange(column, ranges[column.name]) for column in schema.columns]
        self._low = np.array([column.low for column in self._columns], dtype=np.float32)
        self._high = np.array([column.high for column in self._columns], dtype=np.float32)
        self._limits = list(zip(self._low.tolist(), self._high.tolist(), strict=True))
        self._has_gap = np.array([column.has_gap for column in self._columns])
        self._no_gaps = not self._has_gap.any()
        # Many rows have the same to be said about them. Neither the cache nor what it calls knows
        # this object: no cycle keeps it alive.
        self._notes_of_pattern: Callable[[bytes], InputNotes] = functools.lru_cache(
            NOTES_CACHE_SIZE
        )(functools.partial(_notes_of_pattern, self._columns))

    def check(self, values: np.ndarray) -> dict[int, InputNotes]:
        """InputNotes by row, for the rows about which there are any; usually none.

        Args:
            values: float32 (n, n_columns), missing as NaN.
        """
        columns = np.ascontiguousarray(values.T)  # far faster to look through, column by column
        odd = self._suspicious_columns(columns)
        if not odd:
            return {}
        if len(values) == 1:
            return self._check_single(columns[:, 0], odd)
        strange = np.array(
            [~self._columns[index].in_training_range(columns[index]) for index in odd]
        )
        rows = np.flatnonzero(strange.any(axis=0))
        said = np.zeros((2, len(columns), len(rows)), dtype=bool)
        said[0, odd] = np.isnan(columns[odd][:, rows])
        said[1, odd] = strange[:, rows]
        kinds = np.packbits(said.reshape(-1, len(rows)), axis=0)
        each = np.ascontiguousarray(kinds.T).view(f"V{len(kinds)}")[:, 0].tolist()
        return dict(zip(rows.tolist(), map(self._notes_of_pattern, each), strict=True))

    def _check_single(self, values: np.ndarray, odd: Sequence[int]) -> dict[int, InputNotes]:
        """The usual request has one row, for which looking for equal ones is a detour."""
        seen = [(self._columns[index], values[index]) for index in odd]
        missing = [column.name for column, value in seen if math.isnan(value)]
        warnings = [
            column.warning
            for column, value in seen
            if not (math.isnan(value) or column.in_training_range(value))
        ]
        return {0: InputNotes(tuple(missing), tuple(warnings))} if missing or warnings else {}

    def _suspicious_columns(self, columns: np.ndarray) -> list[int]:
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
                zip(columns[:, 0].tolist(), self._limits, strict=True)
            )
            if not low <= value <= high or not self._no_gaps
        ]


def _notes_of_pattern(columns: Sequence[_ColumnRange], kind: bytes) -> InputNotes:
    """The remarks about every row of one kind: a bit a column where it is missing, then where odd."""
    bits = np.unpackbits(np.frombuffer(kind, np.uint8)).tolist()
    of_column = zip(columns, bits, bits[len(columns) :], strict=False)
    told = [
        (column, is_missing) for column, is_missing, is_odd in of_column if is_missing or is_odd
    ]
    return InputNotes(
        tuple(column.name for column, is_missing in told if is_missing),
        tuple(column.warning for column, is_missing in told if not is_missing),
    )


class _ColumnRange:
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
        self.warning = InputWarning(column.name, code, message)

    def in_training_range(self, values: np.ndarray) -> np.ndarray:
        """float32 (n,) → bool (n,); missing is not familiar."""
        if self.has_gap:
            return np.isin(values, self._levels)
        low, high = np.float32(self.low), np.float32(self.high)
        return (values >= low) & (values <= high)
