"""Raw tables: the cells of a CSV or Parquet file, with their lines.

Three encodings of the Cleveland table are in circulation, and all are read: the UCI file (no
header, ``?`` for missing), the TensorFlow release (header, thal as words) and the bundled CSV
(header, empty for missing). The schema describes all their differences, so one reader is enough.
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
    """The unvalidated cells of a file: text from a CSV, values from Parquet.

    Attributes:
        file: name of the file, without folders.
        header: names of the columns.
        rows: the cells of each row, in the order of the header.
        lines: position of each row in the file, for messages.
        row_label: unit of these positions: ``line`` in a CSV, ``row`` in a Parquet file.
        problems: messages about rows that are too short or too long, which ``rows`` excludes.
    """

    file: str
    header: list[str]
    rows: list[list[Any]]
    lines: list[int]
    row_label: str
    problems: tuple[str, ...] = ()

    def column(self, name: str) -> list[Any]:
        """Return the cells of a column, in the order of the rows."""
        index = self.header.index(name)
        return [row[index] for row in self.rows]


def read_csv(file: str, content: bytes, schema: Schema) -> RawTable:
    """Read a UTF-8 CSV file, with or without a header.

    Without a header, the columns must be the schema's, in its order, with or without the outcome.
    Rows that are too short or too long are excluded and reported in the raw table's problems.

    Raises:
        InvalidTable: the file is not UTF-8, not CSV or empty, or its first line is neither a header
            nor a record.
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
                file, [f"a file without a header must have {expected}; it has {len(rows[0][0])}"]
            )
    else:
        cells, line = rows.pop(0)
        header = _normalize_header(cells, names)
        if not set(header) & set(names):
            known = ", ".join(names)
            raise InvalidTable(
                file, [f"line {line} is neither a record nor a header with columns of {known}"]
            )
    ragged = tuple(
        f"line {line}: {len(cells)} cells, expected {len(header)}"
        for cells, line in rows
        if len(cells) != len(header)
    )
    rows = [(cells, line) for cells, line in rows if len(cells) == len(header)]
    lines = [line for _, line in rows]
    return RawTable(file, header, [cells for cells, _ in rows], lines, "line", ragged)


def read_parquet(file: str, content: bytes, schema: Schema) -> RawTable:
    """Read a Parquet file; null and NaN become None, decimals become floats.

    Raises:
        InvalidTable: the file is not a Parquet file.
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
    """Return a header with the schema's spelling for names that differ only in case."""
    folded = {name.casefold(): name for name in names}
    return [folded.get(cell.casefold(), cell) for cell in header]


def parse_number(cell: Any) -> float | None:
    """Return a cell as a number, text included, or None if it is not a number."""
    if isinstance(cell, str):
        try:
            return None if "_" in cell else float(cell)
        except ValueError:
            return None
    return cell if isinstance(cell, int | float) and not isinstance(cell, bool) else None
