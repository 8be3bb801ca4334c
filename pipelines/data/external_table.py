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
from pipelines.data.raw_table import Sheet
from pipelines.data.table import Table, check_sheet, missing_numbers, read_sheet, value_of

MOST_IMPOSSIBLE = 0.05
"""The share of a column's known cells that may be none of its values."""


@dataclass(frozen=True)
class Site:
    """The records of another site, and what happened to them on the way in.

    Attributes:
        table: the records that can be answered and whose outcome is known.
        n_read: records in the file.
        absent: columns that the file does not have.
        impossible: by column, cells that are no value of it and count as missing.
        left_out: by column, records that were left out for want of its value.
    """

    table: Table
    n_read: int
    absent: tuple[str, ...]
    impossible: dict[str, int]
    left_out: dict[str, int]

    @property
    def missing(self) -> dict[str, int]:
        """By column, in how many of the table's records it is missing; without the complete ones."""
        counts = np.isnan(self.table.values).sum(axis=0).tolist()
        names = self.table.schema.column_names
        return {name: n for name, n in zip(names, counts, strict=True) if n}


def read_site(path: Path, schema: Schema) -> Site:
    """Read a table of another site, in any of the codings in which tables are read.

    Raises:
        InvalidTable: it is no table, has no outcome, lacks a column that must be known, holds a
            column in another coding, or no record is left.
    """
    sheet, sha256 = read_sheet(path, schema)
    absent = tuple(name for name in schema.column_names if name not in sheet.header)
    needed = [c.name for c in schema.columns if c.required and c.name in absent]
    if needed:
        raise InvalidTable(sheet.file, [f"column {name} is absent" for name in needed])
    if schema.outcome.column not in sheet.header:
        check_sheet(_with_columns(sheet, absent), schema, sha256)  # which says what is wrong
    sheet = _with_columns(sheet, absent)
    sheet, impossible = _without_impossible(sheet, schema)
    n_read = len(sheet.rows)
    sheet, left_out = _without_useless(sheet, schema)
    if not sheet.rows:
        raise InvalidTable(sheet.file, ["no record has all that must be known, and an outcome"])
    return Site(check_sheet(sheet, schema, sha256), n_read, absent, impossible, left_out)


def _with_columns(sheet: Sheet, names: Iterable[str]) -> Sheet:
    """A sheet with further columns, in which nothing is known."""
    names = list(names)
    rows = [[*row, *(None for _ in names)] for row in sheet.rows]
    return replace(sheet, header=[*sheet.header, *names], rows=rows)


def _without_impossible(sheet: Sheet, schema: Schema) -> tuple[Sheet, dict[str, int]]:
    """Cells that are no value of their column as missing, and how many they are."""
    rows = [list(row) for row in sheet.rows]
    counts, problems = {}, []
    for column in schema.columns:
        index = sheet.header.index(column.name)
        known, bad = 0, []
        for row in rows:
            value = value_of(row[index], schema.missing, missing_numbers(schema, column))
            known += value is not None
            if value is not None and not _is_possible(column, value):
                bad.append(row)
        if len(bad) > MOST_IMPOSSIBLE * known and len(bad) > 1:
            problems.append(
                f"column {column.name}: {len(bad)} of {known} known cells are none of its values "
                f"({_what_is_possible(column)}): another unit or another coding"
            )
        for row in bad:
            row[index] = None
        if bad:
            counts[column.name] = len(bad)
    if problems:
        raise InvalidTable(sheet.file, problems)
    return replace(sheet, rows=rows), counts


def _is_possible(column: Column, value: object) -> bool:
    return not isinstance(ValueParser(column).parse(value, suggest=False), Problem)


def _what_is_possible(column: Column) -> str:
    if column.kind == "number":
        return f"{column.minimum:g} to {column.maximum:g} {column.unit}".rstrip()
    return ", ".join(str(code) for code in column.codes)


def _without_useless(sheet: Sheet, schema: Schema) -> tuple[Sheet, dict[str, int]]:
    """Without records that lack what must be known or their outcome, and how many lacked what."""
    counts: dict[str, int] = {}
    kept = []
    needed = [(c.name, missing_numbers(schema, c)) for c in schema.columns if c.required]
    needed.append((schema.outcome.column, missing_numbers(schema)))
    for number, row in enumerate(sheet.rows):
        wanting = [
            name
            for name, missing in needed
            if value_of(row[sheet.header.index(name)], schema.missing, missing) is None
        ]
        for name in wanting:
            counts[name] = counts.get(name, 0) + 1
        if not wanting:
            kept.append(number)
    rows, lines = [sheet.rows[n] for n in kept], [sheet.lines[n] for n in kept]
    return replace(sheet, rows=rows, lines=lines), counts
