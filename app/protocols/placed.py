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

from app.errors import pointer_of
from app.loading import LoadedModel
from model.columns import ColumnReader, did_you_mean
from model.errors import InvalidRecords, Problem
from model.records import MAX_LISTED_PROBLEMS, REPEATED, printable
from model.schema import Schema
from model.strict_json import repeated_keys

Place = Callable[[int | None, int | None], str]
"""Row and column → fragment; without a row the head of the table, without a column all of it."""

FEATURES = "features"
"""Under which SageMaker's own clients put the values of a row."""


class Table(NamedTuple):
    """Rows under column names.

    Attributes:
        columns: the names as they were given, in any order.
        rows: lists of values, or what was given instead.
    """

    columns: Sequence[Any]
    rows: Sequence[Any]
    place: Place


def values_of_table(table: Table, model: LoadedModel) -> np.ndarray:
    """Validate the rows of a table.

    Returns:
        float32 (n, n_columns) in the order of the schema, missing as NaN; row i is row i.

    Raises:
        InvalidRecords: the head is wrong, said once; or rows are of another length; or else every
            problem of every row.
    """
    columns, rows, place = table
    _require_columns(columns, model, place)
    records: Sequence[Any] = rows
    if 0 < len(rows) <= model.max_records:  # otherwise read_records refuses them all
        _require_lengths(dict(enumerate(rows)), len(columns), len(rows), model, place)
        records = [dict(zip(columns, map(_known, row), strict=True)) for row in rows]
    numbers = {name: index for index, name in enumerate(columns)}
    with _locating(lambda found: place(found.row, numbers.get(found.field))):
        return model.read_records(records)


def values_of_rows(rows: Sequence[Any], path: str, model: LoadedModel) -> np.ndarray:
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
        elif list(given) == [FEATURES] and FEATURES not in names and not repeated_keys(given):
            unnamed[row], below[row] = given[FEATURES], f"/{FEATURES}"
        else:
            records[row] = _with_known(given)

    def place(row: int | None, column: int | None) -> str:
        found = f"#{path}" if row is None else f"#{path}/{row}{below[row]}"
        return found if column is None else f"{found}/{column}"

    def locate(found: Problem) -> str:
        if found.row in unnamed and found.field in names:
            return place(found.row, names.index(found.field))
        return pointer_of(found, path)

    _require_lengths(unnamed, len(names), len(rows), model, place)
    for row, values in unnamed.items():
        records[row] = dict(zip(names, map(_known, values), strict=True))
    with _locating(locate):
        return model.read_records(records, path)


def require_few_columns(columns: Sequence[Any], model: LoadedModel, path: str) -> None:
    """Refuse a head so long that naming what is wrong with each of its names helps nobody.

    Raises:
        InvalidRecords: it is.
    """
    n_columns = len(model.schema.columns)
    if len(columns) > n_columns + 100:
        message = f"must name {n_columns} columns, and names {len(columns)}"
        refuse(model, [Problem(code="wrong_length", message=message)], path=path)


def refuse(
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
        n_wrong = len({found.row for found in problems if found.row is not None})
        with model.counting, _locating(locate):
            raise InvalidRecords(
                problems[:MAX_LISTED_PROBLEMS],
                n_records=n_records,
                n_wrong=n_wrong,
                path=path,
                n_problems=len(problems),
            )


def refuse_keys(
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
            told = message.replace("{name}", name)
            problems.append(Problem(row=row, field=name, code="duplicate_key", message=told))
    if problems:
        raise InvalidRecords(
            problems, n_records=n_records, n_wrong=len(rows), path=path, n_problems=n_problems
        )


@contextmanager
def _locating(locate: Callable[[Problem], str] | None) -> Iterator[None]:
    try:
        yield
    except InvalidRecords as error:
        error.locate = locate
        raise


def _require_columns(columns: Sequence[Any], model: LoadedModel, place: Place) -> None:
    """Refuse a head that does not name every column of the schema once, and nothing else."""
    require_few_columns(columns, model, "")
    names = model.schema.column_names
    found: list[tuple[Problem, int | None]] = []
    for index, name in enumerate(columns):
        if not isinstance(name, str):
            message = f"column {index} must have a name, a string"
            found.append((Problem(code="wrong_type", message=message), index))
        elif name not in names:
            found.append((_unknown(name, model.schema), index))
    strings = [name for name in columns if isinstance(name, str)]
    for name, times in Counter(strings).items():
        if times > 1:
            repeated = Problem(field=printable(name), code="duplicate_key", message=REPEATED)
            found.append((repeated, columns.index(name)))
    for column in model.schema.columns:
        if column.name not in strings:
            found.append((ColumnReader(column).absent(), None))
    places = {id(problem): place(None, index) for problem, index in found}
    refuse(model, [problem for problem, _ in found], lambda problem: places[id(problem)])


def _require_lengths(
    rows: Mapping[int, Any], n_columns: int, n_records: int, model: LoadedModel, place: Place
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
    refuse(model, problems, lambda found: place(found.row, None), n_records=n_records)


def _unknown(name: str, schema: Schema) -> Problem:
    return Problem(
        field=printable(name),
        code="unknown_column",
        message="is not a column of this table",
        did_you_mean=did_you_mean(name, schema.column_names),
    )


def _known(value: Any) -> Any:
    """The value, or None where a table says in its way that there is none: NaN or nothing."""
    missing = value == "" or (isinstance(value, float) and math.isnan(value))
    return None if missing else value


def _with_known(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record without NaN and empty strings; the same object where it has none of them."""
    if repeated_keys(record):
        return record
    return {name: _known(value) for name, value in record.items()}
