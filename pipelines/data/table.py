"""Tables of records, validated cell by cell against the schema."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.errors import InvalidTable, Problem
from model.schema import Column, RejectedCopy, Schema, ValueParser, did_you_mean
from pipelines.data.raw_table import RawTable, parse_number, read_csv, read_parquet


@dataclass(frozen=True)
class Table:
    """A validated table of records.

    Attributes:
        file: name of the file, without folders.
        sha256: of the file's bytes.
        values: float64 (n, n_columns), coded as in :class:`model.records.batch.Batch`.
        outcome: float64 (n,), the outcome column as in the file.
        lines: int (n,), the line (of a CSV) or row (of a Parquet file) of each record.
        warnings: messages about the data for a person, one sentence each.
    """

    schema: Schema
    file: str
    sha256: str
    values: np.ndarray
    outcome: np.ndarray
    lines: np.ndarray
    warnings: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def frame(self) -> pd.DataFrame:
        """Return the values as a frame for scikit-learn, with named columns.

        Numbers and ordinals are float64 with NaN for missing; categories are the levels' names
        (``fixed``, or the code as text where a level has no name) with None for missing.
        """
        frame = pd.DataFrame(self.values, columns=list(self.schema.column_names))
        for column in self.schema.columns:
            if column.kind == "category":
                names = {float(level.code): level.feature_name for level in column.levels}
                levels = [names.get(code) for code in frame[column.name]]
                frame[column.name] = pd.Series(levels, dtype=object)
        return frame

    @property
    def labels(self) -> np.ndarray:
        """Return int8 (n,), 1 for records that meet the schema's outcome rule."""
        return (self.outcome > self.schema.outcome.above).astype(np.int8)

    @property
    def groups(self) -> np.ndarray:
        """Return int (n,), equal for records with equal values, which no split may separate."""
        filled = np.nan_to_num(self.values, nan=np.finfo(np.float64).max)
        return np.unique(filled, axis=0, return_inverse=True)[1].reshape(-1)


def read_table(path: Path, schema: Schema) -> Table:
    """Read and validate a table.

    Args:
        path: a Parquet file if it ends in ``.parquet`` or ``.pq``, otherwise a CSV file with or
            without a header.

    Raises:
        InvalidTable: the file has problems, which the error lists all at once, by line and column;
            or it is a copy of the data that the schema rejects, with the reason.
    """
    raw_table, sha256 = read_raw_table(path, schema)
    return validate_raw_table(raw_table, schema, sha256)


def read_raw_table(path: Path, schema: Schema) -> tuple[RawTable, str]:
    """Read the unvalidated cells of a file.

    Returns:
        The cells, and the sha256 of the file's bytes.

    Raises:
        InvalidTable: the file is not a table, or it is a copy of the data that the schema rejects.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidTable(str(path), [f"cannot be read: {error.strerror}"]) from None
    if path.suffix.casefold() in (".parquet", ".pq"):
        raw_table = read_parquet(path.name, content, schema)
    else:
        raw_table = read_csv(path.name, content, schema)
    for copy in schema.rejected_copies:
        if _is_rejected_copy(raw_table, copy, schema):
            raise InvalidTable(path.name, [copy.reason])
    return raw_table, hashlib.sha256(content).hexdigest()


def _is_rejected_copy(raw_table: RawTable, copy: RejectedCopy, schema: Schema) -> bool:
    if not {*copy.header, *copy.codes} <= set(raw_table.header):
        return False
    foreign = False
    for column in schema.columns:
        if column.name in copy.codes:
            codes = {parse_number(cell) for cell in raw_table.column(column.name)} - {None}
            if not codes or not codes <= set(copy.codes[column.name]):
                return False
            foreign = foreign or not codes <= set(column.codes)
    distinct = len({str(row) for row in raw_table.rows})
    return foreign and (not copy.repeated or distinct * 2 <= len(raw_table.rows))


def validate_raw_table(raw_table: RawTable, schema: Schema, sha256: str) -> Table:
    """Validate every cell of a raw table.

    Raises:
        InvalidTable: the table has problems, which the error lists all at once, by line and column.
    """
    problems, warnings = _check_header(raw_table, schema)
    if not raw_table.rows and not raw_table.problems:
        problems.append("the file has no records")
    if problems:
        raise InvalidTable(raw_table.file, [*problems, *raw_table.problems])
    problems += raw_table.problems
    values = np.empty((len(raw_table.rows), len(schema.columns)))
    for index, column in enumerate(schema.columns):
        parser = ValueParser(column)
        missing = missing_codes(schema, column)
        for row, cell in enumerate(raw_table.column(column.name)):
            value = parser.parse(parse_cell(cell, schema.missing, missing))
            if isinstance(value, Problem):
                problems.append(
                    _cell_message(raw_table, row, column.name, value.message, value.did_you_mean)
                )
            else:
                values[row, index] = value
    outcome = _read_outcome(raw_table, schema, problems)
    if problems:
        raise InvalidTable(raw_table.file, problems)
    table = Table(schema, raw_table.file, sha256, values, outcome, np.array(raw_table.lines), ())
    warnings += _duplicates(table)
    return Table(schema, raw_table.file, sha256, values, outcome, table.lines, tuple(warnings))


def _check_header(raw_table: RawTable, schema: Schema) -> tuple[list[str], list[str]]:
    header, outcome = raw_table.header, schema.outcome
    problems = [f"column {n} is repeated" for n in dict.fromkeys(header) if header.count(n) > 1]
    known = {*schema.column_names, outcome.column}
    unknown = tuple(name for name in header if name not in known)
    for name in schema.column_names:
        if name not in header:
            similar = did_you_mean(name, unknown)
            hint = f"; is it {similar}?" if similar else ""
            problems.append(f"column {name} is absent{hint}")
    if outcome.column not in header:
        forbidden_targets = [m.reason for m in outcome.forbidden_targets if m.column in header]
        problems += forbidden_targets or [f"the outcome column {outcome.column} is absent"]
    warnings = [f"column {name} is not in the schema and is ignored" for name in unknown]
    return problems, warnings


def _read_outcome(raw_table: RawTable, schema: Schema, problems: list[str]) -> np.ndarray:
    outcome = schema.outcome
    cells = raw_table.column(outcome.column)
    values = [parse_cell(cell, schema.missing, set()) for cell in cells]
    for row, value in enumerate(values):
        if value not in outcome.values or isinstance(value, bool):
            allowed = ", ".join(str(code) for code in outcome.values)
            problems.append(
                _cell_message(raw_table, row, outcome.column, f"must be one of {allowed}", None)
            )
    return np.array([v if v in outcome.values else math.nan for v in values], dtype=np.float64)


def _duplicates(table: Table) -> list[str]:
    _, first_rows, group = np.unique(table.groups, return_index=True, return_inverse=True)
    n_repeats = len(table) - len(first_rows)
    if not n_repeats:
        return []
    warnings = [
        f"{n_repeats} of {len(table)} records are copies of another; no split separates copies"
    ]
    n_contradict = int((table.labels != table.labels[first_rows][group]).sum())
    if n_contradict:
        warnings.append(f"the outcome differs from the first copy in {n_contradict} of them")
    return warnings


def _cell_message(
    raw_table: RawTable, row: int, column: str, message: str, suggestion: str | None
) -> str:
    hint = f"; did you mean {suggestion}?" if suggestion else ""
    return f"{raw_table.row_label} {raw_table.lines[row]}, column {column}: {message}{hint}"


def missing_codes(schema: Schema, column: Column | None = None) -> set[float]:
    """Return the numbers that mean missing in every column, and in this column if it is given."""
    everywhere = {code for text in schema.missing if (code := parse_number(text)) is not None}
    return everywhere | set(column.missing if column else ())


def parse_cell(cell: Any, missing: Sequence[str], missing_codes: set[float]) -> Any:
    """Return a cell as a number or a word, or None if it means missing."""
    if cell is None or (isinstance(cell, str) and cell in missing):
        return None
    code = parse_number(cell)
    if code is None:
        return cell
    return None if code in missing_codes else code
