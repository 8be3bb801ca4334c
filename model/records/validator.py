"""Validation of records: JSON or Python objects to arrays, or every problem at once.

:mod:`model.records.fast_decoder` decodes valid bodies. Any other body is read again by the full
validator below, which reports every problem. So there is one set of rules, and the fast decoder
only has to reject what it cannot accept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from model.errors import InvalidRecords, Problem, ProblemCode
from model.records.batch import OPTIONS, Batch, ColumnValues
from model.records.fast_decoder import FastDecoder
from model.records.strict_json import duplicate_keys, parse_strict_json
from model.schema import Schema, ValueParser, did_you_mean

MAX_LISTED_PROBLEMS = 10_000
DUPLICATE_KEY_MESSAGE = "is given more than once"


class RecordValidator:
    """A validator of the records of one schema.

    Args:
        max_records: the largest number of records in one request.

    Attributes:
        parsers: one per column, in schema order.
    """

    def __init__(self, schema: Schema, *, max_records: int = 10_000) -> None:
        self.schema = schema
        self.max_records = max_records
        self.parsers = [ValueParser(column) for column in schema.columns]
        self._fast_decoder = FastDecoder(schema, self.parsers)

    def validate_json(self, body: bytes, *, ignored_key: str | None = None) -> Batch:
        """Validate the records of a request body.

        The body is one record, a list of records, or ``{"instances": [records]}``. The last form
        may also have ``"explain"`` and ``"interval"``, each true or false.

        Args:
            ignored_key: another key that is allowed next to ``"instances"``, with any value.

        Raises:
            UnreadableBody: the body is not JSON.
            InvalidRecords: every problem of every record at once, by row and column.

        >>> batch = validator.validate_json(b'''{"age": 63, "sex": "male", "cp": 1, "trestbps": 145,
        ...     "chol": 233, "fbs": 1, "restecg": 2, "thalach": 150, "exang": 0, "oldpeak": 2.3,
        ...     "slope": 3, "ca": null, "thal": "fixed"}''')
        >>> batch.values[0, [0, 1, 11, 12]]
        array([63.,  1., nan,  6.])
        """
        batch = self._fast_decoder.decode(body)
        if batch is not None and 0 < len(batch.values) <= self.max_records:
            return batch
        return self.validate_content(parse_strict_json(body), ignored_key)

    def values(self, records: Sequence[Any], path: str | None = "") -> np.ndarray:
        """Return records as an array in schema order, validated by the full rules.

        The order is kept and no record is dropped: row i belongs to record i.

        Args:
            records: n mappings from column name to value; a missing value is None.
            path: the location of the records in the body, for the error.

        Returns:
            float64 (n, n_columns) as in :class:`Batch`.

        Raises:
            InvalidRecords: every problem of every record at once, by row and column.
        """
        values = np.empty((len(records), len(self.parsers)), dtype=np.float64)
        listed: list[Problem] = []
        n_problems = n_invalid = 0
        for row, record in enumerate(records):
            n_listable = MAX_LISTED_PROBLEMS - len(listed)
            numbers, problems = self._check_record(record, suggest=n_listable > 0)
            if not problems:
                values[row] = numbers
                continue
            n_invalid += 1
            listed += (self._with_suggestion(problem, row) for problem in problems[:n_listable])
            n_problems += len(problems)
        if n_problems:
            raise InvalidRecords(
                listed,
                n_records=len(records),
                n_invalid=n_invalid,
                path=path,
                n_problems=n_problems,
            )
        return values

    def validate_content(self, content: Any, ignored_key: str | None = None) -> Batch:
        """Validate the records of a body that is already parsed.

        Args:
            content: the result of :func:`model.records.parse_strict_json`.
            ignored_key: as for :meth:`validate_json`.

        Raises:
            InvalidRecords: every problem of every record at once, by row and column.
        """
        path: str | None = ""
        records, options = content, dict.fromkeys(OPTIONS, False)
        if isinstance(content, dict):
            if "instances" in content:
                path, records = "/instances", content["instances"]
                options = {name: content.get(name, False) for name in OPTIONS}
                _check_envelope_keys(content, ignored_key)
            else:
                path, records = None, [content]
        if not isinstance(records, list):
            raise _body_error(
                "not_records",
                'must be a record, a list of records or {"instances": [records]}',
                path,
            )
        return Batch(self.validate_records(records, path), path, **options)

    def validate_records(self, records: Sequence[Any], path: str | None = "") -> np.ndarray:
        """Validate 1 to ``max_records`` decoded records; otherwise the same as :meth:`values`.

        Raises:
            InvalidRecords: as for :meth:`values`, and for no records or too many.
        """
        self._check_n_records(len(records), path)
        values = self._fast_decoder.decode_records(records)
        return self.values(records, path) if values is None else values

    def validate_columns(
        self, columns: Mapping[str, ColumnValues], path: str | None = ""
    ) -> np.ndarray:
        """Validate records given as columns, by the same rules as :meth:`validate_records`.

        Valid numbers need only a few comparisons of whole columns. Other columns are converted to
        records and validated by :meth:`values`.

        Args:
            columns: n values per column name: an array of numbers with NaN for missing, or a list
                of the values that a record may contain, with None for missing.
            path: the location of the columns in the body, for the error.

        Returns:
            float64 (n, n_columns) as in :class:`Batch`.

        Raises:
            InvalidRecords: as for :meth:`validate_records`. An absent or unknown column is
                reported once, not once per record.

        >>> columns = {"age": np.array([63.0, 41.0]), "sex": ["male", "female"]}
        >>> columns["cp"] = np.array([1, 2])
        >>> missing = {c.name: [None, None] for c in schema.columns if not c.required}
        >>> validator.validate_columns({**columns, **missing})[:, :4]
        array([[63.,  1.,  1., nan],
               [41.,  0.,  2., nan]])
        """
        names = self.schema.column_names
        problems = [p.missing_key_problem() for p in self.parsers if p.column.name not in columns]
        unknown = [name for name in columns if name not in names]
        n_problems = len(problems) + len(unknown)
        if n_problems:
            for name in unknown[:MAX_LISTED_PROBLEMS]:
                problem = _key_problem("unknown_column", name, "is not a column of this table")
                suggestion = did_you_mean(name, names)
                problems.append(msgspec.structs.replace(problem, did_you_mean=suggestion))
            raise InvalidRecords(problems, n_records=0, path=path, n_problems=n_problems)
        self._check_n_records(len(columns[names[0]]), path)
        values = self._fast_decoder.decode_columns(columns)
        if values is not None:
            return values
        rows = zip(*(_nan_to_none(columns[name]) for name in names), strict=True)
        return self.values([dict(zip(names, row, strict=True)) for row in rows], path)

    def _check_n_records(self, n_records: int, path: str | None) -> None:
        if not n_records:
            raise _body_error("no_records", "must hold at least one record", path)
        if n_records > self.max_records:
            raise _body_error(
                "too_many_records", f"must hold at most {self.max_records} records", path
            )

    def _check_record(self, record: Any, *, suggest: bool) -> tuple[list[float], list[Problem]]:
        if not isinstance(record, Mapping):
            return [], [
                Problem(code="not_an_object", message="must be an object with one key per column")
            ]
        numbers: list[float] = []
        problems: list[Problem] = []
        for parser in self.parsers:
            name = parser.column.name
            result = (
                parser.parse(record[name], suggest=suggest)
                if name in record
                else parser.missing_key_problem()
            )
            if isinstance(result, Problem):
                problems.append(result)
            else:
                numbers.append(result)
        for name in itertools.filterfalse(self.schema.column_names.__contains__, record):
            problems.append(_key_problem("unknown_column", name, "is not a column of this table"))
        problems += (
            _key_problem("duplicate_key", name, DUPLICATE_KEY_MESSAGE)
            for name in duplicate_keys(record)
        )
        return numbers, problems

    def _with_suggestion(self, problem: Problem, row: int) -> Problem:
        """Add the row to a problem and, for an unknown column, the most similar column name."""
        suggestion = problem.did_you_mean
        if problem.code == "unknown_column" and problem.field is not None:
            suggestion = did_you_mean(problem.field, self.schema.column_names)
        return msgspec.structs.replace(problem, row=row, did_you_mean=suggestion)


def printable(name: object) -> str:
    """Return a client's name in a form that is safe to send back: valid Unicode, 64 characters."""
    return str(name)[:64].encode("utf-8", "replace").decode("utf-8")


def _nan_to_none(values: ColumnValues) -> Sequence[Any]:
    """Return the values of a column as in records, where missing is None instead of NaN."""
    if not isinstance(values, np.ndarray):
        return values
    return [None if math.isnan(value) else value for value in values.tolist()]


def _check_envelope_keys(content: dict[str, Any], ignored_key: str | None) -> None:
    allowed = ("instances", *OPTIONS, ignored_key)
    problems = [
        _key_problem("unknown_key", name, 'is not allowed next to "instances"')
        for name in content
        if name not in allowed
    ]
    for name in OPTIONS:
        if not isinstance(content.get(name, False), bool):
            problems.append(_key_problem("wrong_type", name, "must be true or false"))
    problems += (
        _key_problem("duplicate_key", name, DUPLICATE_KEY_MESSAGE)
        for name in duplicate_keys(content)
    )
    if problems:
        raise InvalidRecords(
            problems[:MAX_LISTED_PROBLEMS], n_records=0, path="/instances", n_problems=len(problems)
        )


def _key_problem(code: ProblemCode, name: object, message: str) -> Problem:
    return Problem(field=printable(name), code=code, message=message)


def _body_error(code: ProblemCode, message: str, path: str | None) -> InvalidRecords:
    return InvalidRecords([Problem(code=code, message=message)], n_records=0, path=path)
