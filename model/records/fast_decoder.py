"""The fast road for records without a fault: one compiled msgspec decoder, columns at a time.

Whatever is off, however slightly, is left to the patient reader of :mod:`model.records.validator.validator`.
"""

from __future__ import annotations

import enum
import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from model.records.batch import OPTIONS, Batch, ColumnValues
from model.records.strict_json import count_colons
from model.schema import Column, Schema, ValueParser

MAX_SHARE_WITH_MISSING = 1 / 32
"""Of a batch's rows: as many may lack something before each value is looked at for itself."""


_NAN = math.nan


_astuple = msgspec.structs.astuple


_MAX_EXACT_INTEGER = 2**53
"""Beyond it a float64 is not the integer that was given."""


class FastDecoder:
    """Reads bodies that are right in every respect.

    Args:
        columns: of the schema, in its order.
    """

    def __init__(self, schema: Schema, columns: Sequence[ValueParser]) -> None:
        self._parsers = columns
        self._codes_by_value = [column.code_by_value for column in columns]
        record: Any = record_type(schema)
        self._list_type = list[record]
        self._record_decoder = msgspec.json.Decoder(record)
        self._list_decoder = msgspec.json.Decoder(list[record])
        self._envelope_decoder = msgspec.json.Decoder(
            msgspec.defstruct(
                "Instances",
                [
                    ("instances", list[record]),
                    *((name, bool | msgspec.UnsetType, msgspec.UNSET) for name in OPTIONS),
                ],
                forbid_unknown_fields=True,
            )
        )
        # Where no spelling holds a colon, the colons of a body count its keys: msgspec keeps the
        # last of two equal keys without a word, and this is how the fast road notices.
        self._colons_are_keys = not any(":" in str(a) for c in schema.columns for a in c.allowed)

    def decode(self, body: bytes) -> Batch | None:
        """The batch of a faultless body, or None where the patient reader has to look."""
        if not self._colons_are_keys:
            return None
        path: str | None = ""
        explain = interval = False
        n_keys = count_colons(body)
        try:
            if body.lstrip()[:1] == b"[":
                rows = self._list_decoder.decode(body)
            elif b'"instances"' in body[:64]:
                whole: Any = self._envelope_decoder.decode(body)
                rows, path, n_keys = whole.instances, "/instances", n_keys - 1
                if whole.explain is not msgspec.UNSET:
                    explain, n_keys = whole.explain, n_keys - 1
                if whole.interval is not msgspec.UNSET:
                    interval, n_keys = whole.interval, n_keys - 1
            else:
                rows, path = [self._record_decoder.decode(body)], None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if n_keys != len(rows) * len(self._parsers):
            return None
        values = self._rows_to_array(rows)
        return None if values is None else Batch(values, path, explain, interval)

    def decode_records(self, records: Sequence[Any]) -> np.ndarray | None:
        """Records that are decoded already, as values; None where the patient reader has to look.

        Where the columns' names hold a key that stood twice, the object is a dict's subclass, and
        only the patient reader knows what that means.
        """
        if not all(type(record) is dict for record in records):
            return None
        try:
            values = self._rows_to_array(msgspec.convert(records, self._list_type))
        except (msgspec.ValidationError, RecursionError, UnicodeError, OverflowError):
            return None
        if values is not None and np.isnan(values).any() and _has_nan(records):
            return None
        return values

    def decode_columns(self, columns: Mapping[str, ColumnValues]) -> np.ndarray | None:
        """The values of faultless columns, or None where the patient reader has to look.

        Args:
            columns: every column of the schema by its name, all of the same length.

        Returns:
            float32 (n, n_columns) as in :class:`Batch`.
        """
        read = []
        for reader in self._parsers:
            numbers = _decode_column(reader, columns[reader.column.name])
            if numbers is None:
                return None
            read.append(numbers)
        return np.ascontiguousarray(np.array(read, dtype=np.float32).T)

    def _rows_to_array(self, rows: Sequence[Any]) -> np.ndarray | None:
        """Decoded rows as values; None where a level is not one of its column's."""
        if len(rows) == 1:
            return self._single_row_to_array(rows[0])
        numbers = _rows_to_float64(rows, len(self._parsers))
        for reader, column in zip(self._parsers, np.ascontiguousarray(numbers.T), strict=True):
            if reader.code_by_value and not _all_codes(column, reader.column):
                return None
        return numbers.astype(np.float32)

    def _single_row_to_array(self, row: Any) -> np.ndarray | None:
        """The usual request has one row, for which turning rows into columns is a detour."""
        try:
            values = [
                levels[value] if levels else value
                for levels, value in zip(self._codes_by_value, _astuple(row), strict=True)
            ]
        except KeyError:
            return None
        return np.array([values], dtype=np.float32)


def _rows_to_float64(rows: Sequence[Any], n_columns: int) -> np.ndarray:
    """Decoded rows as float64 (n, n_columns), None as NaN.

    Packing a row is the fastest way by far, but it fails where there is a None.
    """
    pack = struct.Struct(f"{n_columns}d").pack
    packed: list[bytes] = []
    in_order = itertools.starmap(pack, map(_astuple, rows))
    for _ in range(int(MAX_SHARE_WITH_MISSING * len(rows)) + 1):
        try:
            packed.extend(in_order)
        except struct.error:  # what came before it stays, and what follows comes next
            row = _astuple(rows[len(packed)])
            packed.append(pack(*[_NAN if value is None else value for value in row]))
        else:
            return np.frombuffer(b"".join(packed)).reshape(-1, n_columns)
    values = itertools.chain.from_iterable(map(_astuple, rows))  # NumPy makes a NaN of a None
    return np.fromiter(values, np.float64, n_columns * len(rows)).reshape(-1, n_columns)


def _has_nan(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a NaN was given as a number, which JSON does not know: it is not what is missing."""
    return any(value != value for record in records for value in record.values())  # noqa: PLR0124


def _all_codes(numbers: np.ndarray, column: Column) -> bool:
    """Whether float64 (n,) holds nothing but codes of a column, and NaN for what is missing."""
    found = sum(np.count_nonzero(numbers == code) for code in column.codes)
    return found + np.count_nonzero(np.isnan(numbers)) == len(numbers)


def _decode_column(reader: ValueParser, given: ColumnValues) -> np.ndarray | None:
    """One column in the network's coding, missing as NaN; None where anything is off."""
    column = reader.column
    if not isinstance(given, np.ndarray):
        if not column.levels or not set(map(type, given)) <= {str, type(None)}:
            return None
        try:
            return np.array([reader.code_by_value[word] for word in given])
        except KeyError:
            return None
    if given.dtype.kind not in "iuf":
        return None
    numbers = given.astype(np.float64)
    if column.minimum is None or column.maximum is None:
        allowed = np.isin(numbers, column.codes)
    else:
        allowed = (numbers >= column.minimum) & (numbers <= column.maximum)
    if given.dtype.kind in "iu":
        allowed &= np.abs(numbers) < _MAX_EXACT_INTEGER
    elif not column.required:
        allowed |= np.isnan(numbers)
    return numbers if allowed.all() else None


def record_type(schema: Schema) -> type[msgspec.Struct]:
    """A strict msgspec type for one faultless record of the schema."""

    def annotation(column: Column) -> Any:
        if column.kind == "number":
            kind: Any = Annotated[float, msgspec.Meta(ge=column.minimum, le=column.maximum)]
        else:
            # Any number passes here, because 1.0 is the code 1; which of them are levels is looked at
            # later, for all rows at once.
            words = {
                f"word_{number}": (float(level.code), word)
                for number, (level, word) in enumerate(
                    (level, word) for level in column.levels for word in level.aliases
                )
            }
            level_type: Any = _LevelAlias
            kind = level_type("Level", words) | float if words else float
        return kind if column.required else kind | None

    fields = [(f"c{index}", annotation(column)) for index, column in enumerate(schema.columns)]
    names = {f"c{index}": column.name for index, column in enumerate(schema.columns)}
    # Without the garbage collector: a record holds numbers and words, and can be part of no cycle.
    return msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)


class _LevelAlias(float, enum.Enum):
    """The words for the levels of a column; to msgspec a word, and to everybody else its code."""

    def __new__(cls, code: float, word: str) -> Any:
        level = float.__new__(cls, code)
        level._value_ = word
        return level
