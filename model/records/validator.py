"""Records: JSON or Python objects → validated values, or every problem of every record at once.

A body that is right is decoded by :mod:`model.records.validator.fast_decoder`. A body that is not goes a second time
through the patient reader below, which alone decides what is wrong; so there is one set of rules,
and the fast road only has to notice that something is off.
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
    """Reads the records of one schema.

    Args:
        max_records: more in one request are refused.
    """

    def __init__(self, schema: Schema, *, max_records: int = 10_000) -> None:
        self.schema = schema
        self.max_records = max_records
        self.parsers = [ValueParser(column) for column in schema.columns]
        self._fast_decoder = FastDecoder(schema, self.parsers)

    def validate_json(self, body: bytes, *, ignored_key: str | None = None) -> Batch:
        """Validate the records of a request body.

        The body is one record, a list of records, or ``{"instances": [records]}``; beside
        ``"instances"`` may stand ``"explain"`` and ``"interval"``, each true or false.

        Args:
            ignored_key: one more key that may stand there, with anything in it; it says nothing here.

        Raises:
            UnreadableBody: it is not JSON.
            InvalidRecords: every problem of every record at once, by row and column.

        >>> batch = reader.validate_json(b'''{"age": 63, "sex": "male", "cp": 1, "trestbps": 145,
        ...     "chol": 233, "fbs": 1, "restecg": 2, "thalach": 150, "exang": 0, "oldpeak": 2.3,
        ...     "slope": 3, "ca": null, "thal": "fixed"}''')
        >>> batch.values[0, [0, 1, 11, 12]]
        array([63.,  1., nan,  6.], dtype=float32)
        """
        batch = self._fast_decoder.decode(body)
        if batch is not None and 0 < len(batch.values) <= self.max_records:
            return batch
        return self.read_content(parse_strict_json(body), ignored_key)

    def values(self, records: Sequence[Any], path: str | None = "") -> np.ndarray:
        """Put records into the order in which the network reads them.

        Order is kept and no record is dropped, so row i answers record i.

        Args:
            records: n mappings from column name to value; a missing value is None.
            path: where they stood in the body, for the errors.

        Returns:
            float32 (n, n_columns) as in :class:`Batch`.

        Raises:
            InvalidRecords: every problem of every record at once, by row and column.
        """
        values = np.empty((len(records), len(self.parsers)), dtype=np.float32)
        listed: list[Problem] = []
        n_problems = n_invalid = 0
        for row, record in enumerate(records):
            room = MAX_LISTED_PROBLEMS - len(listed)
            numbers, problems = self._check_record(record, suggest=room > 0)
            if not problems:
                values[row] = numbers
                continue
            n_invalid += 1
            listed += (self._with_suggestion(problem, row) for problem in problems[:room])
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

    def read_content(self, content: Any, ignored_key: str | None = None) -> Batch:
        """Validate the records of a body that is parsed already, by the rules alone.

        Args:
            content: of :func:`model.strict_json.parse`.
            beside: as :meth:`validate_json` takes it.

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
        """As :meth:`values`, within the limit of one request.

        Raises:
            InvalidRecords: also where there are none, or more than ``max_records``.
        """
        self._check_n_records(len(records), path)
        values = self._fast_decoder.decode_records(records)
        return self.values(records, path) if values is None else values

    def validate_columns(
        self, columns: Mapping[str, ColumnValues], path: str | None = ""
    ) -> np.ndarray:
        """Validate records that come as columns, by the very rules of :meth:`validate_records`.

        Numbers that are right take no more than a few comparisons of whole columns; anything else
        goes, as records, through the patient reader.

        Args:
            columns: by name, each with n values: numbers with NaN for missing as an ndarray, or
                whatever stands in a record as a list, with None for missing.
            path: where they stood in the body, for the errors.

        Returns:
            float32 (n, n_columns) as in :class:`Batch`.

        Raises:
            InvalidRecords: also where a column is absent or unknown, which is said once and not of
                every record.

        >>> ages, others = np.array([63.0, 41.0]), {"sex": ["male", "female"], "cp": np.array([1, 2])}
        >>> missing = {c.name: [None, None] for c in schema.columns if not c.required}
        >>> reader.validate_columns({"age": ages, **others, **missing})[:, :4]
        array([[63.,  1.,  1., nan],
               [41.,  0.,  2., nan]], dtype=float32)
        """
        names = self.schema.column_names
        problems = [r.missing_key_problem() for r in self.parsers if r.column.name not in columns]
        unknown = [name for name in columns if name not in names]
        n_problems = len(problems) + len(unknown)
        if n_problems:
            for name in unknown[:MAX_LISTED_PROBLEMS]:
                problem = _key_problem("unknown_column", name, "is not a column of this table")
                near = did_you_mean(name, names)
                problems.append(msgspec.structs.replace(problem, did_you_mean=near))
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
                Problem(code="not_an_object", message="must be an object, one key a column")
            ]
        numbers: list[float] = []
        problems: list[Problem] = []
        for reader in self.parsers:
            name = reader.column.name
            found = (
                reader.parse(record[name], suggest=suggest)
                if name in record
                else reader.missing_key_problem()
            )
            if isinstance(found, Problem):
                problems.append(found)
            else:
                numbers.append(found)
        for name in itertools.filterfalse(self.schema.column_names.__contains__, record):
            problems.append(_key_problem("unknown_column", name, "is not a column of this table"))
        problems += (
            _key_problem("duplicate_key", name, DUPLICATE_KEY_MESSAGE)
            for name in duplicate_keys(record)
        )
        return numbers, problems

    def _with_suggestion(self, problem: Problem, row: int) -> Problem:
        """The problem with its row and, for a name that is no column, the nearest column."""
        suggest = problem.did_you_mean
        if problem.code == "unknown_column" and problem.field is not None:
            suggest = did_you_mean(problem.field, self.schema.column_names)
        return msgspec.structs.replace(problem, row=row, did_you_mean=suggest)


def printable(name: object) -> str:
    """A name that a client made up, safe to send back: valid Unicode, 64 characters at most."""
    return str(name)[:64].encode("utf-8", "replace").decode("utf-8")


def _nan_to_none(given: ColumnValues) -> Sequence[Any]:
    """A column's values as they stand in records, where missing is None and not NaN."""
    if not isinstance(given, np.ndarray):
        return given
    return [None if math.isnan(value) else value for value in given.tolist()]


def _check_envelope_keys(content: dict[str, Any], ignored_key: str | None) -> None:
    others = [name for name in content if name not in ("instances", *OPTIONS, ignored_key)]
    problems = [
        _key_problem("unknown_key", name, 'may not stand beside "instances"') for name in others
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
