"""Validation of tabular payloads, with errors located in the body that was sent.

A table has a header with the column names and then rows. A list may hold rows without names. A
problem is reported by row and column, as everywhere in the service. Its location in the body is a
URI fragment: a JSON pointer (RFC 6901), or a cell of a CSV body (RFC 7111).

Functions named ``check_…`` raise if their argument is invalid. Functions named ``raise_for_…``
raise if they are given any problem.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from app.models import LoadedModel
from app.web import json_pointer
from model.errors import InvalidRecords, Problem
from model.records import DUPLICATE_KEY_MESSAGE, MAX_LISTED_PROBLEMS, duplicate_keys, printable
from model.schema import Schema, ValueParser, did_you_mean

Locator = Callable[[int | None, int | None], str]
"""Row and column index → fragment. Row None is the header, column None the whole row."""

FEATURES = "features"
"""The key under which SageMaker's clients send the values of a row."""


class TablePayload(NamedTuple):
    """Rows under column names.

    Attributes:
        columns: the names as they were sent, in any order.
        rows: lists of values, not yet validated.
    """

    columns: Sequence[Any]
    rows: Sequence[Any]
    locator: Locator


def validate_table(table: TablePayload, model: LoadedModel) -> np.ndarray:
    """Validate the rows of a table.

    Returns:
        float64 (n, n_columns) in schema order, missing as NaN. The order of the rows is kept.

    Raises:
        InvalidRecords: every problem of the header, once; or else every row of the wrong length;
            or else every problem of every row.
    """
    columns, rows, locator = table
    _check_columns(columns, model, locator)
    records: Sequence[Any] = rows
    if 0 < len(rows) <= model.max_records:  # otherwise validate_records rejects them all
        _check_row_lengths(dict(enumerate(rows)), len(columns), len(rows), model, locator)
        records = [dict(zip(columns, map(_empty_to_none, row), strict=True)) for row in rows]
    column_index = {name: index for index, name in enumerate(columns)}
    with _attach_locator(lambda problem: locator(problem.row, column_index.get(problem.field))):
        return model.validate_records(records)


def validate_rows(rows: Sequence[Any], path: str, model: LoadedModel) -> np.ndarray:
    """Validate rows, each in a format of its own.

    A row is a record, a list of values in schema order, or an object whose only key is
    ``features``, with such a list.

    Args:
        path: the JSON pointer of the list in the body.

    Returns:
        float64 (n, n_columns) in schema order, missing as NaN. The order of the rows is kept.

    Raises:
        InvalidRecords: every row of the wrong length, or else every problem of every row.
    """
    names = model.schema.column_names
    value_lists: dict[int, Any] = {}
    subpaths: dict[int, str] = {}
    records: list[Any] = list(rows)
    for row, content in enumerate(rows if len(rows) <= model.max_records else ()):
        if isinstance(content, list):
            value_lists[row], subpaths[row] = content, ""
        elif not isinstance(content, Mapping):
            continue
        elif list(content) == [FEATURES] and FEATURES not in names and not duplicate_keys(content):
            value_lists[row], subpaths[row] = content[FEATURES], f"/{FEATURES}"
        else:
            records[row] = _normalize_missing(content)

    def locator(row: int | None, column: int | None) -> str:
        pointer = f"#{path}" if row is None else f"#{path}/{row}{subpaths[row]}"
        return pointer if column is None else f"{pointer}/{column}"

    def locate(problem: Problem) -> str:
        if problem.row in value_lists and problem.field in names:
            return locator(problem.row, names.index(problem.field))
        return json_pointer(problem, path)

    _check_row_lengths(value_lists, len(names), len(rows), model, locator)
    for row, values in value_lists.items():
        records[row] = dict(zip(names, map(_empty_to_none, values), strict=True))
    with _attach_locator(locate):
        return model.validate_records(records, path)


def check_column_count(columns: Sequence[Any], model: LoadedModel, path: str) -> None:
    """Check that a header is not so long that listing every unknown name would be useless.

    Raises:
        InvalidRecords: it names over 100 columns more than the schema.
    """
    n_columns = len(model.schema.columns)
    if len(columns) > n_columns + 100:
        message = f"must name {n_columns} columns, but names {len(columns)}"
        raise_for_problems(model, [Problem(code="wrong_length", message=message)], path=path)


def raise_for_problems(
    model: LoadedModel,
    problems: Sequence[Problem],
    locate: Callable[[Problem], str] | None = None,
    *,
    n_records: int = 0,
    path: str = "",
) -> None:
    """Raise for the problems that a protocol has found. Do nothing if there are none.

    Args:
        locate: the location of a problem in the body, as a fragment.
        path: the JSON pointer that the problems are relative to, if ``locate`` is None.

    Raises:
        InvalidRecords: there are problems.
    """
    if problems:
        n_invalid = len({problem.row for problem in problems if problem.row is not None})
        with model.problem_counter, _attach_locator(locate):
            raise InvalidRecords(
                problems[:MAX_LISTED_PROBLEMS],
                n_records=n_records,
                n_invalid=n_invalid,
                path=path,
                n_problems=len(problems),
            )


def raise_for_duplicate_keys(
    keys: Iterable[tuple[int | None, str]], message: str, *, n_records: int, path: str
) -> None:
    """Raise for keys that are given more than once. Do nothing if there are none.

    A body of 8 MiB can hold a million of them. The first are listed and the rest are counted.

    Args:
        keys: the row of each key, or None, and the key.
        message: the message of each problem; ``{name}`` is replaced by the key.

    Raises:
        InvalidRecords: there are keys. At most ``MAX_LISTED_PROBLEMS`` are listed.
    """
    problems: list[Problem] = []
    rows: set[int] = set()
    n_problems = 0
    for row, key in keys:
        n_problems += 1
        if row is not None:
            rows.add(row)
        if n_problems <= MAX_LISTED_PROBLEMS:
            name = printable(key)
            text = message.replace("{name}", name)
            problems.append(Problem(row=row, field=name, code="duplicate_key", message=text))
    if problems:
        raise InvalidRecords(
            problems, n_records=n_records, n_invalid=len(rows), path=path, n_problems=n_problems
        )


@contextmanager
def _attach_locator(locate: Callable[[Problem], str] | None) -> Iterator[None]:
    try:
        yield
    except InvalidRecords as error:
        error.locate = locate
        raise


def _check_columns(columns: Sequence[Any], model: LoadedModel, locator: Locator) -> None:
    """Check that a header names every column of the schema exactly once, and nothing else."""
    check_column_count(columns, model, "")
    names = model.schema.column_names
    problems: list[tuple[Problem, int | None]] = []
    for index, name in enumerate(columns):
        if not isinstance(name, str):
            message = f"column {index} must have a name, a string"
            problems.append((Problem(code="wrong_type", message=message), index))
        elif name not in names:
            problems.append((_unknown_column(name, model.schema), index))
    strings = [name for name in columns if isinstance(name, str)]
    for name, count in Counter(strings).items():
        if count > 1:
            duplicate = Problem(
                field=printable(name), code="duplicate_key", message=DUPLICATE_KEY_MESSAGE
            )
            problems.append((duplicate, columns.index(name)))
    for column in model.schema.columns:
        if column.name not in strings:
            problems.append((ValueParser(column).missing_key_problem(), None))
    locations = {id(problem): locator(None, index) for problem, index in problems}
    raise_for_problems(
        model, [problem for problem, _ in problems], lambda problem: locations[id(problem)]
    )


def _check_row_lengths(
    rows: Mapping[int, Any], n_columns: int, n_records: int, model: LoadedModel, locator: Locator
) -> None:
    """Check that each row is a list with one value per column."""
    problems = []
    for row, values in rows.items():
        if not isinstance(values, list):
            message = "must be a list of values, one per column"
            problems.append(Problem(row=row, code="wrong_type", message=message))
        elif len(values) != n_columns:
            message = f"must hold {n_columns} values, one per column, but holds {len(values)}"
            problems.append(Problem(row=row, code="wrong_length", message=message))
    raise_for_problems(
        model, problems, lambda problem: locator(problem.row, None), n_records=n_records
    )


def _unknown_column(name: str, schema: Schema) -> Problem:
    return Problem(
        field=printable(name),
        code="unknown_column",
        message="is not a column of this table",
        did_you_mean=did_you_mean(name, schema.column_names),
    )


def _empty_to_none(value: Any) -> Any:
    """Return None for the missing values of a table, NaN and ``""``; otherwise the value."""
    missing = value == "" or (isinstance(value, float) and math.isnan(value))
    return None if missing else value


def _normalize_missing(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record with NaN and empty strings replaced by None.

    A record with duplicate keys is returned unchanged: a copy would no longer report them.
    """
    if duplicate_keys(record):
        return record
    return {name: _empty_to_none(value) for name, value in record.items()}
