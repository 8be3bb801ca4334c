"""The table of another site, with missing cells, absent columns and a few impossible values.

A training table is rejected for one invalid cell, because its owner can correct it. The table of
another site is taken as it is. Impossible values are treated as missing, records without a required
value or an outcome are excluded, and both are counted. A column in which many values are impossible
has another unit or encoding, and the table is rejected.
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
"""Largest share of a column's known cells that may be impossible values."""


@dataclass(frozen=True)
class ExternalTable:
    """The records of another site, and counts of what was excluded or replaced.

    Attributes:
        table: the records with all required values and a known outcome.
        n_read: number of records in the file.
        absent_columns: columns that the file does not have.
        invalid_cells: by column, number of impossible values, which are treated as missing.
        left_out: by column, number of records that were excluded because its value is missing.
    """

    table: Table
    n_read: int
    absent_columns: tuple[str, ...]
    invalid_cells: dict[str, int]
    left_out: dict[str, int]

    @property
    def missing(self) -> dict[str, int]:
        """Return the number of missing values by column, without the complete columns."""
        counts = np.isnan(self.table.values).sum(axis=0).tolist()
        names = self.table.schema.column_names
        return {name: n for name, n in zip(names, counts, strict=True) if n}


def read_external_table(path: Path, schema: Schema) -> ExternalTable:
    """Read the table of another site, in any encoding that a training table may have.

    Raises:
        InvalidTable: the file is not a table, lacks the outcome or a required column, has a column
            in another unit or encoding, or has no usable record.
    """
    raw_table, sha256 = read_raw_table(path, schema)
    absent_columns = tuple(name for name in schema.column_names if name not in raw_table.header)
    absent = [c.name for c in schema.columns if c.required and c.name in absent_columns]
    if absent:
        raise InvalidTable(raw_table.file, [f"column {name} is absent" for name in absent])
    if schema.outcome.column not in raw_table.header:
        # Raises the error with the reason.
        validate_raw_table(_with_columns(raw_table, absent_columns), schema, sha256)
    raw_table = _with_columns(raw_table, absent_columns)
    raw_table, invalid_cells = _replace_invalid_cells(raw_table, schema)
    n_read = len(raw_table.rows)
    raw_table, left_out = _drop_unusable_records(raw_table, schema)
    if not raw_table.rows:
        raise InvalidTable(raw_table.file, ["no record has every required value and an outcome"])
    return ExternalTable(
        validate_raw_table(raw_table, schema, sha256),
        n_read,
        absent_columns,
        invalid_cells,
        left_out,
    )


def _with_columns(raw_table: RawTable, names: Iterable[str]) -> RawTable:
    """Return a raw table with additional columns, in which every cell is missing."""
    names = list(names)
    rows = [[*row, *(None for _ in names)] for row in raw_table.rows]
    return replace(raw_table, header=[*raw_table.header, *names], rows=rows)


def _replace_invalid_cells(raw_table: RawTable, schema: Schema) -> tuple[RawTable, dict[str, int]]:
    """Replace impossible values by None; also return their number by column."""
    rows = [list(row) for row in raw_table.rows]
    counts, problems = {}, []
    for column in schema.columns:
        index = raw_table.header.index(column.name)
        n_known, invalid_rows = 0, []
        for row in rows:
            value = parse_cell(row[index], schema.missing, missing_codes(schema, column))
            n_known += value is not None
            if value is not None and not _is_valid(column, value):
                invalid_rows.append(row)
        n_invalid = len(invalid_rows)
        if n_invalid > MAX_INVALID_FRACTION * n_known and n_invalid > 1:
            problems.append(
                f"column {column.name}: {n_invalid} of {n_known} known cells are impossible values "
                f"(allowed: {_describe_allowed(column)}); check its unit and its encoding"
            )
        for row in invalid_rows:
            row[index] = None
        if invalid_rows:
            counts[column.name] = n_invalid
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
    """Drop records without a required value or an outcome; also return their number by column."""
    counts: dict[str, int] = {}
    kept_rows = []
    required = [(c.name, missing_codes(schema, c)) for c in schema.columns if c.required]
    required.append((schema.outcome.column, missing_codes(schema)))
    for index, row in enumerate(raw_table.rows):
        unknown = [
            name
            for name, missing in required
            if parse_cell(row[raw_table.header.index(name)], schema.missing, missing) is None
        ]
        for name in unknown:
            counts[name] = counts.get(name, 0) + 1
        if not unknown:
            kept_rows.append(index)
    rows = [raw_table.rows[index] for index in kept_rows]
    lines = [raw_table.lines[index] for index in kept_rows]
    return replace(raw_table, rows=rows, lines=lines), counts
