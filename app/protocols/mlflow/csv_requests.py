"""Parsing of CSV bodies (RFC 4180).

MLflow sends a header row. SageMaker's clients send none.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from typing import Any

import numpy as np

from app.models import LoadedModel
from app.protocols.table_payload import TablePayload, validate_table
from model.errors import UnreadableBody
from model.schema import Column

NUMBER = re.compile(r"[+-]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][+-]?\d++)?", re.ASCII)
"""A number in a cell. The possessive quantifiers keep matching linear in the cell's length."""
MAX_NUMBER_LENGTH = 64
"""Longer cells are read as text. A float64 never needs more than 24 characters."""


def parse_csv(body: bytes, model: LoadedModel, *, has_header: bool | None = None) -> np.ndarray:
    """Validate a CSV body.

    An empty cell is a missing value. So is ``nan``, which NumPy writes.

    Args:
        has_header: whether the first row holds the column names; the columns may then be in any
            order. If None, the first row is a header if one of its cells is the name of a
            column, ignoring case.

    Returns:
        float64 (n, n_columns), missing as NaN.

    Raises:
        UnreadableBody: the body is not CSV in UTF-8.
        InvalidRecords: every problem of the body. Locations are cells as in RFC 7111: counted
            from 1, including the header.
    """
    # More rows are rejected anyway. Parsing them would only cost memory.
    rows = _read_rows(body, model.max_records + 2)
    names = model.schema.column_names
    first_row = [cell.strip() for cell in rows[0]]
    if has_header is None:
        folded_names = {name.casefold() for name in names}
        has_header = any(cell.casefold() in folded_names for cell in first_row)
    columns = first_row if has_header else list(names)
    first_number = 2 if has_header else 1

    def locator(row: int | None, column: int | None) -> str:
        number = 1 if row is None else row + first_number
        return f"#row={number}" if column is None else f"#cell={number},{column + 1}"

    parser_by_name = {column.name: _CellParser(column) for column in model.schema.columns}
    parsers = [parser_by_name.get(name) for name in columns]
    cells: list[Any] = rows[1:] if has_header else rows
    if all(parsers):
        cells = [
            [parser(cell) if parser else cell for parser, cell in zip(parsers, row, strict=True)]
            if len(row) == len(parsers)
            else row
            for row in cells
        ]
    return validate_table(TablePayload(columns, cells, locator), model)


def _read_rows(body: bytes, limit: int) -> list[list[str]]:
    """Return at most ``limit`` rows of a body. Blank lines at the end are ignored."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableBody("not_utf8", f"the body is not UTF-8 (byte {error.start})") from None
    text = text.rstrip("\r\n")
    if not text.strip():
        raise UnreadableBody("empty_body", "the body is empty; send one record per row")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(itertools.islice(reader, limit))
    except csv.Error as error:
        message = f"the body is not CSV: {error} (line {reader.line_num})"
        raise UnreadableBody("broken_csv", message) from None


class _CellParser:
    """A parser for the cells of one column. It returns what JSON would: float, str or None."""

    def __init__(self, column: Column) -> None:
        self._aliases = {alias.casefold() for level in column.levels for alias in level.aliases}

    def __call__(self, cell: str) -> float | str | None:
        text = cell.strip()
        folded = text.casefold()
        if folded in ("", "nan"):
            return None
        if folded in self._aliases or len(text) > MAX_NUMBER_LENGTH:
            return text
        return float(text) if NUMBER.fullmatch(text) else text
