"""Files → sheets: the cells of a CSV or Parquet file, and where each of them stands.

Three codings of the Cleveland table are in circulation and all are read: the UCI file (no header,
``?`` for missing), the TensorFlow release (header, thal as words) and the bundled CSV (header,
empty for missing). They differ in nothing that the schema does not say, so there is one reader.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from model.errors import InvalidTable
from model.schema import Schema


@dataclass(frozen=True)
class Sheet:
    """Cells as they stand in a file: text from a CSV, values from Parquet.

    Attributes:
        lines: where each row stands in the file, for messages.
        unit: what such a place is called: ``line`` of a CSV, ``row`` of a Parquet file.
    """

    file: str
    header: list[str]
    rows: list[list[Any]]
    lines: list[int]
    unit: str

    def column(self, name: str) -> list[Any]:
        """The cells below a name of the header, from top to bottom."""
        index = self.header.index(name)
        return [row[index] for row in self.rows]


def read_csv(file: str, content: bytes, schema: Schema) -> Sheet:
    """The cells of a CSV in UTF-8, with or without a header.

    Without one, the columns are the schema's, in its order, with or without the outcome.

    Raises:
        InvalidTable: not UTF-8, not CSV, empty, or rows of unequal length, by line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InvalidTable(file, [f"line {line}: not UTF-8 text"]) from None
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        rows = [([cell.strip() for cell in row], reader.line_num) for row in reader if any(row)]
    except csv.Error as error:
        raise InvalidTable(file, [f"line {reader.line_num}: {error}"]) from None
    if not rows:
        raise InvalidTable(file, ["the file is empty"])
    names = [*schema.column_names, schema.outcome.column]
    if all(cell in schema.missing or number(cell) is not None for cell in rows[0][0]):
        width = len(rows[0][0])
        if width not in (len(names), len(names) - 1):
            expected = f"{len(names)} columns in the order {', '.join(names)}"
            raise InvalidTable(file, [f"without a header it must have {expected}; it has {width}"])
        header = names[:width]
    else:
        header = [_known_spelling(cell, names) for cell in rows.pop(0)[0]]
    ragged = [
        f"line {line}: {len(cells)} cells where {len(header)} are expected"
        for cells, line in rows
        if len(cells) != len(header)
    ]
    if ragged:
        raise InvalidTable(file, ragged)
    return Sheet(file, header, [cells for cells, _ in rows], [line for _, line in rows], "line")


def read_parquet(file: str, content: bytes) -> Sheet:
    """The values of a Parquet file; null and NaN are None.

    Raises:
        InvalidTable: not a Parquet file.
    """
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise InvalidTable(file, [f"not a Parquet file: {error}"]) from None
    columns = [
        [None if missing else value for value, missing in zip(column, lost, strict=True)]
        for column, lost in (
            (frame.iloc[:, i].tolist(), frame.iloc[:, i].isna()) for i in range(frame.shape[1])
        )
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Sheet(file, [str(n) for n in frame.columns], rows, list(range(1, len(rows) + 1)), "row")


def _known_spelling(cell: str, names: Sequence[str]) -> str:
    """A header cell, in the schema's spelling where it differs in case only."""
    return next((name for name in names if name.casefold() == cell.casefold()), cell)


def number(cell: Any) -> float | None:
    """A cell as a number, or None where it is none; text counts if it spells one."""
    if isinstance(cell, str):
        try:
            return None if "_" in cell else float(cell)
        except ValueError:
            return None
    return cell if isinstance(cell, int | float) and not isinstance(cell, bool) else None
