"""The table of another site, read for what it is: gaps, whole columns absent, a few odd cells.

A training table is refused for one bad cell, because somebody can mend it. A table from elsewhere
is as it is. What cannot be a value of its column counts as missing, what makes a record useless
leaves it out, and both are counted and told. A column full of such cells is no accident, but another
unit or another coding, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.errors import InvalidTable, Problem
from model.schema import Column, Schema, ValueParser
from pipelines.data.raw_table import RawTable
from pipelines.data.table import (
    Table,
    missing_codes,
    parse_cell,
    read_raw_table,
    validate_raw_table,
)

MAX_INVALID_FRACTION = 0.05
"""The share of a column's known cells that may be none of its values."""


@dataclass(frozen=True)
class ExternalTable:
    """The records of another site, and what happened to them on the way in.

    Attributes:
        table: the records that can be answered and whose outcome is known.
        n_read: records in the file.
        absent_columns: columns that the file does not have.
        invalid_cells: by column, cells that are no value of it and count as missing.
        left_out: by column, records that were left out for want of its value.
    """

    table: Table
    n_read: int
    absent_columns: tuple[str, ...]
    invalid_cells: dict[str, int]
    left_out: dict[str, int]

    @property
    def missing(self) -> dict[str, int]:
        """By column, in how many of the table's records it is missing; without the complete ones."""
        counts = np.isnan(self.table.values).sum(axis=0).tolist()
        names = self.table.schema.column_names
        return {name: n for name, n in zip(names, counts, strict=True) if n}


def read_external_table(path: Path, schema: Schema) -> ExternalTable:
    """Read a table of another site, in any of the codings in which tables are read.

    Raises:
        InvalidTable: it is no table, has no outcome, lacks a column that must be known, holds a
            column in another coding, or no record is left.
    """
    raw_table, sha256 = read_raw_table(path, schema)
    absent_columns = tuple(name for name in schema.column_names if name not in raw_table.header)
    needed = [c.name for c in schema.columns if c.required and c.name in absent_columns]
    if needed:
        raise InvalidTable(raw_table.file, [f"column {name} is absent" for name in needed])
    if schema.outcome.column not in raw_table.header:
        validate_raw_table(
            _with_columns(raw_table, absent_columns), schema, sha256
        )  # which says what is wrong
    raw_table = _with_columns(raw_table, absent_columns)
    raw_table, invalid_cells = _replace_invalid_cells(raw_table, schema)
    n_read = len(raw_table.rows)
    raw_table, left_out = _drop_unusable_records(raw_table, schema)
    if not raw_table.rows:
        raise InvalidTable(raw_table.file, ["no record has all that must be known, and an outcome"])
    return ExternalTable(
        validate_raw_table(raw_table, schema, sha256),
        n_read,
        absent_columns,
        invalid_cells,
        left_out,
    )


def _with_columns(raw_table: RawTable, names: Iterable[str]) -> RawTable:
    """A raw table with further columns, in which nothing is known."""
    names = list(names)
    rows = [[*row, *(None for _ in names)] for row in raw_table.rows]
    return replace(raw_table, header=[*raw_table.header, *names], rows=rows)


def _replace_invalid_cells(raw_table: RawTable, schema: Schema) -> tuple[RawTable, dict[str, int]]:
    """Cells that are no value of their column as missing, and how many they are."""
    rows = [list(row) for row in raw_table.rows]
    counts, problems = {}, []
    for column in schema.columns:
        index = raw_table.header.index(column.name)
        known, bad = 0, []
        for row in rows:
            value = parse_cell(row[index], schema.missing, missing_codes(schema, column))
            known += value is not None
            if value is not None and not _is_valid(column, value):
                bad.append(row)
        if len(bad) > MAX_INVALID_FRACTION * known and len(bad) > 1:
            problems.append(
                f"column {column.name}: {len(bad)} of {known} known cells are none of its values "
                f"({_describe_allowed(column)}): another unit or another coding"
            )
        for row in bad:
            row[index] = None
        if bad:
            counts[column.name] = len(bad)
    if problems:
        raise InvalidTable(raw_table.file, problems)
    return replace(raw_table, rows=rows), counts


def _is_valid(column: Column, value: object) -> bool:
    return not isinstance(ValueParser(column).parse(value, suggest=False), Problem)


def _describe_allowed(column: Column) -> str:
    if column.kind == "number":
        return f"{column.minimum:g} to {column.maximum:g} {column.unit}".rstrip()
    return ", ".join(str(code) for code in column.codes)


def _drop_unusable_records(raw_table: RawTable, schema: Schema) -> tuple[RawTable, dict[str, int]]:
    """Without records that lack what must be known or their outcome, and how many lacked what."""
    counts: dict[str, int] = {}
    kept = []
    needed = [(c.name, missing_codes(schema, c)) for c in schema.columns if c.required]
    needed.append((schema.outcome.column, missing_codes(schema)))
    for number, row in enumerate(raw_table.rows):
        wanting = [
            name
            for name, missing in needed
            if parse_cell(row[raw_table.header.index(name)], schema.missing, missing) is None
        ]
        for name in wanting:
            counts[name] = counts.get(name, 0) + 1
        if not wanting:
            kept.append(number)
    rows, lines = [raw_table.rows[n] for n in kept], [raw_table.lines[n] for n in kept]
    return replace(raw_table, rows=rows, lines=lines), counts
