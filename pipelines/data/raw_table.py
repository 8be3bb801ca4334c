"""Files → sheets: the cells of a CSV or Parquet file, and where each of them stands.

Three codings of the Cleveland table are in circulation and all are read: the UCI file (no header,
``?`` for missing), the TensorFlow release (header, thal as words) and the bundled CSV (header,
empty for missing). They differ in nothing that the schema does not say, so there is one reader.
"""

from __future__ import annotations

import csv
import decimal
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow
import pyarrow.parquet

from model.errors import InvalidTable
from model.schema import Schema


@dataclass(frozen=True)
class RawTable:
    """Cells as they stand in a file: text from a CSV, values from Parquet.

    Attributes:
        lines: where each row stands in the file, for messages.
        row_label: what such a place is called: ``line`` of a CSV, ``row`` of a Parquet file.
        problems: what is wrong with rows that are not among these, because they are too short or
            too long.
    """

    file: str
    header: list[str]
    rows: list[list[Any]]
    lines: list[int]
    row_label: str
    problems: tuple[str, ...] = ()

    def column(self, name: str) -> list[Any]:
        """The cells below a name of the header, from top to bottom."""
        index = self.header.index(name)
        return [row[index] for row in self.rows]


def read_csv(file: str, content: bytes, schema: Schema) -> RawTable:
    """The cells of a CSV in UTF-8, with or without a header.

    Without one, the columns are the schema's, in its order, with or without the outcome.

    Rows that are too short or too long are left out and named in the raw table's problems.

    Raises:
        InvalidTable: not UTF-8, not CSV, empty, or a first line that is neither header nor record.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidTable(file, [f"line {line}: not UTF-8 text"]) from None
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        rows = [([cell.strip() for cell in row], reader.line_num) for row in reader]
    except csv.Error as error:
        raise InvalidTable(file, [f"line {reader.line_num}: {error}"]) from None
    rows = [(cells, line) for cells, line in rows if cells not in ([], [""])]
    if not rows:
        raise InvalidTable(file, ["the file is empty"])
    names = [*schema.column_names, schema.outcome.column]
    if all(cell in schema.missing or parse_number(cell) is not None for cell in rows[0][0]):
        header = names[: len(rows[0][0])]
        if len(rows[0][0]) not in (len(names), len(names) - 1):
            expected = f"{len(names)} columns in the order {', '.join(names)}"
            raise InvalidTable(
                file, [f"without a header it must have {expected}; it has {len(rows[0][0])}"]
            )
    else:
        cells, line = rows.pop(0)
        header = _normalize_header(cells, names)
        if not set(header) & set(names):
            known = ", ".join(names)
            raise InvalidTable(file, [f"line {line} is no record, and no header with {known}"])
    ragged = tuple(
        f"line {line}: {len(cells)} cells where {len(header)} are expected"
        for cells, line in rows
        if len(cells) != len(header)
    )
    rows = [(cells, line) for cells, line in rows if len(cells) == len(header)]
    lines = [line for _, line in rows]
    return RawTable(file, header, [cells for cells, _ in rows], lines, "line", ragged)


def read_parquet(file: str, content: bytes, schema: Schema) -> RawTable:
    """The values of a Parquet file; null and NaN are None, decimals are floats.

    Raises:
        InvalidTable: not a Parquet file.
    """
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except (OSError, pyarrow.ArrowException) as error:
        raise InvalidTable(file, [f"not a Parquet file: {error}"]) from None
    columns = [
        [_to_python_value(value) for value in column.to_pylist()] for column in table.columns
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    names = [*schema.column_names, schema.outcome.column]
    header = _normalize_header(table.column_names, names)
    return RawTable(file, header, rows, list(range(1, len(rows) + 1)), "row")


def _to_python_value(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return float(value)
    return None if isinstance(value, float) and math.isnan(value) else value


def _normalize_header(header: Sequence[str], names: Sequence[str]) -> list[str]:
    """A header, with the schema's spelling where a name differs in case only."""
    folded = {name.casefold(): name for name in names}
    return [folded.get(cell.casefold(), cell) for cell in header]


def parse_number(cell: Any) -> float | None:
    """A cell as a number, or None where it is none; text counts if it spells one."""
    if isinstance(cell, str):
        try:
            return None if "_" in cell else float(cell)
        except ValueError:
            return None
    return cell if isinstance(cell, int | float) and not isinstance(cell, bool) else None
