"""Records as CSV (RFC 4180): MLflow sends it with a head, SageMaker's clients without one."""

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
"""A number in a cell. Each repetition is possessive, so that a cell takes linear time."""
MAX_NUMBER_LENGTH = 64
"""Longer cells are read as text. A float64 never needs more than 24 characters."""


def parse_csv(body: bytes, model: LoadedModel, *, has_header: bool | None = None) -> np.ndarray:
    """Validate a CSV body.

    An empty cell is a missing value, and so is ``nan``, which NumPy writes.

    Args:
        has_header: whether the first row names the columns, which may then stand in any order; unless it
            is known, it does where one of its cells is the name of a column, in any case.

    Returns:
        float32 (n, n_columns), missing as NaN.

    Raises:
        UnreadableBody: it is not CSV in UTF-8.
        InvalidRecords: everything that is wrong with it; places are cells as RFC 7111 counts them,
            from 1 and with the head.
    """
    # Rows past the limit are refused anyway: reading them would cost memory for nothing.
    rows = _read_rows(body, model.max_records + 2)
    names = model.schema.column_names
    first = [cell.strip() for cell in rows[0]]
    if has_header is None:
        folded = {name.casefold() for name in names}
        has_header = any(cell.casefold() in folded for cell in first)
    columns = first if has_header else list(names)
    n_above = 2 if has_header else 1

    def locator(row: int | None, column: int | None) -> str:
        number = 1 if row is None else row + n_above
        return f"#row={number}" if column is None else f"#cell={number},{column + 1}"

    readers = {column.name: _CellParser(column) for column in model.schema.columns}
    inside = [readers.get(name) for name in columns]
    cells: list[Any] = rows[1:] if has_header else rows
    if all(inside):
        cells = [
            [reader(cell) if reader else cell for reader, cell in zip(inside, row, strict=True)]
            if len(row) == len(inside)
            else row
            for row in cells
        ]
    return validate_table(TablePayload(columns, cells, locator), model)


def _read_rows(body: bytes, limit: int) -> list[list[str]]:
    """The rows of a body, at most ``limit`` of them; blank lines at the end are none."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableBody("not_utf8", f"the body is not UTF-8 (byte {error.start})") from None
    text = text.rstrip("\r\n")
    if not text.strip():
        raise UnreadableBody("empty_body", "the body is empty; send one record a row")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(itertools.islice(reader, limit))
    except csv.Error as error:
        message = f"the body is not CSV: {error} (line {reader.line_num})"
        raise UnreadableBody("broken_csv", message) from None


class _CellParser:
    """Cells of one column as JSON would have given them: numbers, words, None."""

    def __init__(self, column: Column) -> None:
        self._words = {word.casefold() for level in column.levels for word in level.aliases}

    def __call__(self, cell: str) -> float | str | None:
        text = cell.strip()
        folded = text.casefold()
        if folded in ("", "nan"):
            return None
        if folded in self._words or len(text) > MAX_NUMBER_LENGTH:
            return text
        return float(text) if NUMBER.fullmatch(text) else text
