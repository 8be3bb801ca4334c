"""Fast decoder of valid records: a compiled msgspec type, checked one column at a time.

It accepts only what is certainly valid. It returns None for everything else, which
:class:`model.records.validator.RecordValidator` then validates by the full rules.
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
"""Largest share of rows with missing values for which packing whole rows is faster."""
_MAX_EXACT_INTEGER = 2**53
"""A float64 cannot represent every integer beyond this one."""

_NAN = math.nan
_astuple = msgspec.structs.astuple


class FastDecoder:
    """A decoder of valid records.

    Args:
        parsers: one per column of the schema, in schema order.
    """

    def __init__(self, schema: Schema, parsers: Sequence[ValueParser]) -> None:
        self._parsers = parsers
        self._codes_by_value = [parser.code_by_value for parser in parsers]
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
        # msgspec silently keeps the last of two equal keys. If no alias contains a colon, a body
        # has as many colons as keys, so counting them detects repeated keys.
        self._colons_are_keys = not any(":" in str(a) for c in schema.columns for a in c.allowed)

    def decode(self, body: bytes) -> Batch | None:
        """Return the batch of a valid body, or None if the body needs full validation."""
        if not self._colons_are_keys:
            return None
        path: str | None = ""
        explain = interval = False
        n_keys = count_colons(body)
        try:
            if body.lstrip()[:1] == b"[":
                rows = self._list_decoder.decode(body)
            elif b'"instances"' in body[:64]:
                envelope: Any = self._envelope_decoder.decode(body)
                rows, path, n_keys = envelope.instances, "/instances", n_keys - 1
                if envelope.explain is not msgspec.UNSET:
                    explain, n_keys = envelope.explain, n_keys - 1
                if envelope.interval is not msgspec.UNSET:
                    interval, n_keys = envelope.interval, n_keys - 1
            else:
                rows, path = [self._record_decoder.decode(body)], None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if n_keys != len(rows) * len(self._parsers):
            return None
        values = self._rows_to_array(rows)
        return None if values is None else Batch(values, path, explain, interval)

    def decode_records(self, records: Sequence[Any]) -> np.ndarray | None:
        """Return the values of decoded records, or None if they need full validation.

        A record with a repeated key is an instance of a subclass of dict, which always needs full
        validation.

        Returns:
            float64 (n, n_columns) as in :class:`Batch`.
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
        """Return the values of valid columns, or None if they need full validation.

        Args:
            columns: every column of the schema by name, all of the same length.

        Returns:
            float64 (n, n_columns) as in :class:`Batch`.
        """
        decoded = []
        for parser in self._parsers:
            numbers = _decode_column(parser, columns[parser.column.name])
            if numbers is None:
                return None
            decoded.append(numbers)
        return np.ascontiguousarray(np.array(decoded, dtype=np.float64).T)

    def _rows_to_array(self, rows: Sequence[Any]) -> np.ndarray | None:
        """Return decoded rows as values, or None if a code is not a level of its column."""
        if len(rows) == 1:
            return self._single_row_to_array(rows[0])
        numbers = _rows_to_float64(rows, len(self._parsers))
        columns = np.ascontiguousarray(numbers.T)
        for parser, column_values in zip(self._parsers, columns, strict=True):
            if parser.code_by_value and not _all_codes(column_values, parser.column):
                return None
        return numbers.astype(np.float64)

    def _single_row_to_array(self, row: Any) -> np.ndarray | None:
        """Decode a single row, the usual request, without a conversion of rows to columns."""
        try:
            values = [
                codes[value] if codes else value
                for codes, value in zip(self._codes_by_value, _astuple(row), strict=True)
            ]
        except KeyError:
            return None
        return np.array([values], dtype=np.float64)


def _rows_to_float64(rows: Sequence[Any], n_columns: int) -> np.ndarray:
    """Return decoded rows as float64 (n, n_columns), None as NaN.

    Packing whole rows is the fastest method, but it fails for a row with a None.
    """
    pack = struct.Struct(f"{n_columns}d").pack
    packed: list[bytes] = []
    remaining = itertools.starmap(pack, map(_astuple, rows))
    for _ in range(int(MAX_SHARE_WITH_MISSING * len(rows)) + 1):
        try:
            packed.extend(remaining)
        except struct.error:  # extend() added the rows before this one and consumed it
            row = _astuple(rows[len(packed)])
            packed.append(pack(*[_NAN if value is None else value for value in row]))
        else:
            return np.frombuffer(b"".join(packed)).reshape(-1, n_columns)
    values = itertools.chain.from_iterable(map(_astuple, rows))  # NumPy converts None to NaN
    return np.fromiter(values, np.float64, n_columns * len(rows)).reshape(-1, n_columns)


def _has_nan(records: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether any record has a NaN, which JSON does not allow and which is not missing."""
    return any(value != value for record in records for value in record.values())  # noqa: PLR0124


def _all_codes(numbers: np.ndarray, column: Column) -> bool:
    """Return whether every number of float64 (n,) is a code of the column or NaN."""
    n_codes = sum(np.count_nonzero(numbers == code) for code in column.codes)
    return n_codes + np.count_nonzero(np.isnan(numbers)) == len(numbers)


def _decode_column(parser: ValueParser, values: ColumnValues) -> np.ndarray | None:
    """Return a column as float64 (n,), missing as NaN, or None if it needs full validation."""
    column = parser.column
    if not isinstance(values, np.ndarray):
        if not column.levels or not set(map(type, values)) <= {str, type(None)}:
            return None
        try:
            return np.array([parser.code_by_value[alias] for alias in values])
        except KeyError:
            return None
    if values.dtype.kind not in "iuf":
        return None
    numbers = values.astype(np.float64)
    if column.minimum is None or column.maximum is None:
        allowed = np.isin(numbers, column.codes)
    else:
        allowed = (numbers >= column.minimum) & (numbers <= column.maximum)
    if values.dtype.kind in "iu":
        allowed &= np.abs(numbers) < _MAX_EXACT_INTEGER
    elif not column.required:
        allowed |= np.isnan(numbers)
    return numbers if allowed.all() else None


def record_type(schema: Schema) -> type[msgspec.Struct]:
    """Return a strict msgspec type for one valid record of the schema."""

    def annotation(column: Column) -> Any:
        if column.kind == "number":
            kind: Any = Annotated[float, msgspec.Meta(ge=column.minimum, le=column.maximum)]
        else:
            # The type accepts any number, because 1.0 is the code 1. The decoder checks the codes
            # later, for all rows at once.
            members = {
                f"alias_{number}": (float(level.code), alias)
                for number, (level, alias) in enumerate(
                    (level, alias) for level in column.levels for alias in level.aliases
                )
            }
            level_type: Any = _LevelAlias
            kind = level_type("Level", members) | float if members else float
        return kind if column.required else kind | None

    fields = [(f"c{index}", annotation(column)) for index, column in enumerate(schema.columns)]
    names = {f"c{index}": column.name for index, column in enumerate(schema.columns)}
    # gc=False saves time: a record holds only numbers and enum members, so it has no cycles.
    return msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)


class _LevelAlias(float, enum.Enum):
    """The aliases of the levels of a column: msgspec matches the alias, NumPy sees the code."""

    def __new__(cls, code: float, alias: str) -> Any:
        member = float.__new__(cls, code)
        member._value_ = alias
        return member
