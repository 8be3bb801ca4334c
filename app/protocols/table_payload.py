"""Values that stand in another way than in a list of records: read as records, and found again.

A table has its column names once and then rows; a list may hold rows without any names. What is
wrong with a value is said by row and column as everywhere, and its place in the body as a fragment:
a JSON pointer (RFC 6901), or a cell (RFC 7111) of a CSV body.
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
"""Row and column → fragment; without a row the head of the table, without a column all of it."""

FEATURES = "features"
"""Under which SageMaker's own clients put the values of a row."""


class TablePayload(NamedTuple):
    """Rows under column names.

    Attributes:
        columns: the names as they were given, in any order.
        rows: lists of values, or what was given instead.
    """

    columns: Sequence[Any]
    rows: Sequence[Any]
    locator: Locator


def validate_table(table: TablePayload, model: LoadedModel) -> np.ndarray:
    """Validate the rows of a table.

    Returns:
        float32 (n, n_columns) in the order of the schema, missing as NaN; row i is row i.

    Raises:
        InvalidRecords: the head is wrong, said once; or rows are of another length; or else every
            problem of every row.
    """
    columns, rows, locator = table
    _require_columns(columns, model, locator)
    records: Sequence[Any] = rows
    if 0 < len(rows) <= model.max_records:  # otherwise validate_records refuses them all
        _require_lengths(dict(enumerate(rows)), len(columns), len(rows), model, locator)
        records = [dict(zip(columns, map(_empty_to_none, row), strict=True)) for row in rows]
    numbers = {name: index for index, name in enumerate(columns)}
    with _attach_locator(lambda found: locator(found.row, numbers.get(found.field))):
        return model.validate_records(records)


def validate_rows(rows: Sequence[Any], path: str, model: LoadedModel) -> np.ndarray:
    """Validate rows of which each says by itself what it is.

    A row is a record, the values of one in the order of the schema, or such values as the only
    member ``features`` of an object.

    Args:
        path: of the list in the body, a JSON pointer.

    Returns:
        float32 (n, n_columns) in the order of the schema, missing as NaN; row i is row i.

    Raises:
        InvalidRecords: rows are of another length, or else every problem of every row.
    """
    names = model.schema.column_names
    unnamed: dict[int, Any] = {}
    below: dict[int, str] = {}
    records: list[Any] = list(rows)
    for row, given in enumerate(rows if len(rows) <= model.max_records else ()):
        if isinstance(given, list):
            unnamed[row], below[row] = given, ""
        elif not isinstance(given, Mapping):
            continue
        elif list(given) == [FEATURES] and FEATURES not in names and not duplicate_keys(given):
            unnamed[row], below[row] = given[FEATURES], f"/{FEATURES}"
        else:
            records[row] = _normalize_missing(given)

    def locator(row: int | None, column: int | None) -> str:
        found = f"#{path}" if row is None else f"#{path}/{row}{below[row]}"
        return found if column is None else f"{found}/{column}"

    def locate(found: Problem) -> str:
        if found.row in unnamed and found.field in names:
            return locator(found.row, names.index(found.field))
        return json_pointer(found, path)

    _require_lengths(unnamed, len(names), len(rows), model, locator)
    for row, values in unnamed.items():
        records[row] = dict(zip(names, map(_empty_to_none, values), strict=True))
    with _attach_locator(locate):
        return model.validate_records(records, path)


def limit_columns(columns: Sequence[Any], model: LoadedModel, path: str) -> None:
    """Refuse a head so long that naming what is wrong with each of its names helps nobody.

    Raises:
        InvalidRecords: it is.
    """
    n_columns = len(model.schema.columns)
    if len(columns) > n_columns + 100:
        message = f"must name {n_columns} columns, and names {len(columns)}"
        raise_if_problems(model, [Problem(code="wrong_length", message=message)], path=path)


def raise_if_problems(
    model: LoadedModel,
    problems: Sequence[Problem],
    locate: Callable[[Problem], str] | None = None,
    *,
    n_records: int = 0,
    path: str = "",
) -> None:
    """Refuse a body for problems that a protocol has found; do nothing where there are none.

    Raises:
        InvalidRecords: there are.
    """
    if problems:
        n_invalid = len({found.row for found in problems if found.row is not None})
        with model.problem_counter, _attach_locator(locate):
            raise InvalidRecords(
                problems[:MAX_LISTED_PROBLEMS],
                n_records=n_records,
                n_invalid=n_invalid,
                path=path,
                n_problems=len(problems),
            )


def reject_keys(
    keys: Iterable[tuple[int | None, str]], message: str, *, n_records: int, path: str
) -> None:
    """Refuse a body for the keys that stand where they must not; do nothing where there are none.

    A body of 8 MiB can hold a million of them. The first are listed and the rest are counted.

    Args:
        keys: each with the row that it stands in, or None.
        message: of each; ``{name}`` in it becomes the key.

    Raises:
        InvalidRecords: there are, at most ``MAX_LISTED_PROBLEMS`` of them listed.
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


def _require_columns(columns: Sequence[Any], model: LoadedModel, locator: Locator) -> None:
    """Refuse a head that does not name every column of the schema once, and nothing else."""
    limit_columns(columns, model, "")
    names = model.schema.column_names
    found: list[tuple[Problem, int | None]] = []
    for index, name in enumerate(columns):
        if not isinstance(name, str):
            message = f"column {index} must have a name, a string"
            found.append((Problem(code="wrong_type", message=message), index))
        elif name not in names:
            found.append((_unknown_column(name, model.schema), index))
    strings = [name for name in columns if isinstance(name, str)]
    for name, times in Counter(strings).items():
        if times > 1:
            repeated = Problem(
                field=printable(name), code="duplicate_key", message=DUPLICATE_KEY_MESSAGE
            )
            found.append((repeated, columns.index(name)))
    for column in model.schema.columns:
        if column.name not in strings:
            found.append((ValueParser(column).missing_key_problem(), None))
    places = {id(problem): locator(None, index) for problem, index in found}
    raise_if_problems(model, [problem for problem, _ in found], lambda problem: places[id(problem)])


def _require_lengths(
    rows: Mapping[int, Any], n_columns: int, n_records: int, model: LoadedModel, locator: Locator
) -> None:
    """Refuse rows that are no lists of one value a column."""
    problems = []
    for row, values in rows.items():
        if not isinstance(values, list):
            message = "must be a list of values, one a column"
            problems.append(Problem(row=row, code="wrong_type", message=message))
        elif len(values) != n_columns:
            message = f"must hold {n_columns} values, one a column, and holds {len(values)}"
            problems.append(Problem(row=row, code="wrong_length", message=message))
    raise_if_problems(model, problems, lambda found: locator(found.row, None), n_records=n_records)


def _unknown_column(name: str, schema: Schema) -> Problem:
    return Problem(
        field=printable(name),
        code="unknown_column",
        message="is not a column of this table",
        did_you_mean=did_you_mean(name, schema.column_names),
    )


def _empty_to_none(value: Any) -> Any:
    """The value, or None where a table says in its way that there is none: NaN or nothing."""
    missing = value == "" or (isinstance(value, float) and math.isnan(value))
    return None if missing else value


def _normalize_missing(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record without NaN and empty strings; the same object where it has none of them."""
    if duplicate_keys(record):
        return record
    return {name: _empty_to_none(value) for name, value in record.items()}
