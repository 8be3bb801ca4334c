"""Records: JSON or Python objects → validated values, or every problem of every record at once.

A body that is right is decoded by :mod:`model.faultless`. A body that is not goes a second time
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

from model.columns import ColumnReader, did_you_mean
from model.errors import InvalidRecords, Problem, ProblemCode
from model.faultless import OPTIONS, Batch, FaultlessReader, Given
from model.schema import Schema
from model.strict_json import parse, repeated_keys

MAX_LISTED_PROBLEMS = 10_000
REPEATED = "is given more than once"


class RecordReader:
    """Reads the records of one schema.

    Args:
        max_records: more in one request are refused.
    """

    def __init__(self, schema: Schema, *, max_records: int = 10_000) -> None:
        self.schema = schema
        self.max_records = max_records
        self.columns = [ColumnReader(column) for column in schema.columns]
        self._fast = FaultlessReader(schema, self.columns)

    def read_json(self, body: bytes, *, beside: str | None = None) -> Batch:
        """Validate the records of a request body.

        The body is one record, a list of records, or ``{"instances": [records]}``; beside
        ``"instances"`` may stand ``"explain"`` and ``"interval"``, each true or false.

        Args:
            beside: one more key that may stand there, with anything in it; it says nothing here.

        Raises:
            UnreadableBody: it is not JSON.
            InvalidRecords: every problem of every record at once, by row and column.

        >>> batch = reader.read_json(b'''{"age": 63, "sex": "male", "cp": 1, "trestbps": 145,
        ...     "chol": 233, "fbs": 1, "restecg": 2, "thalach": 150, "exang": 0, "oldpeak": 2.3,
        ...     "slope": 3, "ca": null, "thal": "fixed"}''')
        >>> batch.values[0, [0, 1, 11, 12]]
        array([63.,  1., nan,  6.], dtype=float32)
        """
        batch = self._fast.read(body)
        if batch is not None and 0 < len(batch.values) <= self.max_records:
            return batch
        return self.read_content(parse(body), beside)

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
        values = np.empty((len(records), len(self.columns)), dtype=np.float32)
        listed: list[Problem] = []
        n_problems = n_wrong = 0
        for row, record in enumerate(records):
            room = MAX_LISTED_PROBLEMS - len(listed)
            numbers, problems = self._check(record, guess=room > 0)
            if not problems:
                values[row] = numbers
                continue
            n_wrong += 1
            listed += (self._with_guess(problem, row) for problem in problems[:room])
            n_problems += len(problems)
        if n_problems:
            raise InvalidRecords(
                listed, n_records=len(records), n_wrong=n_wrong, path=path, n_problems=n_problems
            )
        return values

    def read_content(self, content: Any, beside: str | None = None) -> Batch:
        """Validate the records of a body that is parsed already, by the rules alone.

        Args:
            content: of :func:`model.strict_json.parse`.
            beside: as :meth:`read_json` takes it.

        Raises:
            InvalidRecords: every problem of every record at once, by row and column.
        """
        path: str | None = ""
        records, options = content, dict.fromkeys(OPTIONS, False)
        if isinstance(content, dict):
            if "instances" in content:
                path, records = "/instances", content["instances"]
                options = {name: content.get(name, False) for name in OPTIONS}
                _refuse_other_keys(content, beside)
            else:
                path, records = None, [content]
        if not isinstance(records, list):
            raise _whole_body(
                "not_records",
                'must be a record, a list of records or {"instances": [records]}',
                path,
            )
        return Batch(self.read_records(records, path), path, **options)

    def read_records(self, records: Sequence[Any], path: str | None = "") -> np.ndarray:
        """As :meth:`values`, within the limit of one request.

        Raises:
            InvalidRecords: also where there are none, or more than ``max_records``.
        """
        self._require_number(len(records), path)
        values = self._fast.convert(records)
        return self.values(records, path) if values is None else values

    def read_columns(self, columns: Mapping[str, Given], path: str | None = "") -> np.ndarray:
        """Validate records that come as columns, by the very rules of :meth:`read_records`.

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
        >>> missing = {c.name: [None, None] for c in schema.columns if not c.must_be_known}
        >>> reader.read_columns({"age": ages, **others, **missing})[:, :4]
        array([[63.,  1.,  1., nan],
               [41.,  0.,  2., nan]], dtype=float32)
        """
        names = self.schema.column_names
        problems = [r.absent() for r in self.columns if r.column.name not in columns]
        unknown = [name for name in columns if name not in names]
        n_problems = len(problems) + len(unknown)
        if n_problems:
            for name in unknown[:MAX_LISTED_PROBLEMS]:
                problem = _key("unknown_column", name, "is not a column of this table")
                near = did_you_mean(name, names)
                problems.append(msgspec.structs.replace(problem, did_you_mean=near))
            raise InvalidRecords(problems, n_records=0, path=path, n_problems=n_problems)
        self._require_number(len(columns[names[0]]), path)
        values = self._fast.read_columns(columns)
        if values is not None:
            return values
        rows = zip(*(_as_in_records(columns[name]) for name in names), strict=True)
        return self.values([dict(zip(names, row, strict=True)) for row in rows], path)

    def _require_number(self, n_records: int, path: str | None) -> None:
        if not n_records:
            raise _whole_body("no_records", "must hold at least one record", path)
        if n_records > self.max_records:
            raise _whole_body(
                "too_many_records", f"must hold at most {self.max_records} records", path
            )

    def _check(self, record: Any, *, guess: bool) -> tuple[list[float], list[Problem]]:
        if not isinstance(record, Mapping):
            return [], [
                Problem(code="not_an_object", message="must be an object, one key a column")
            ]
        numbers: list[float] = []
        problems: list[Problem] = []
        for reader in self.columns:
            name = reader.column.name
            found = reader.read(record[name], guess=guess) if name in record else reader.absent()
            if isinstance(found, Problem):
                problems.append(found)
            else:
                numbers.append(found)
        for name in itertools.filterfalse(self.schema.column_names.__contains__, record):
            problems.append(_key("unknown_column", name, "is not a column of this table"))
        problems += (_key("duplicate_key", name, REPEATED) for name in repeated_keys(record))
        return numbers, problems

    def _with_guess(self, problem: Problem, row: int) -> Problem:
        """The problem with its row and, for a name that is no column, the nearest column."""
        guess = problem.did_you_mean
        if problem.code == "unknown_column" and problem.field is not None:
            guess = did_you_mean(problem.field, self.schema.column_names)
        return msgspec.structs.replace(problem, row=row, did_you_mean=guess)


def printable(name: object) -> str:
    """A name that a client made up, safe to send back: valid Unicode, 64 characters at most."""
    return str(name)[:64].encode("utf-8", "replace").decode("utf-8")


def _as_in_records(given: Given) -> Sequence[Any]:
    """A column's values as they stand in records, where missing is None and not NaN."""
    if not isinstance(given, np.ndarray):
        return given
    return [None if math.isnan(value) else value for value in given.tolist()]


def _refuse_other_keys(content: dict[str, Any], beside: str | None) -> None:
    others = [name for name in content if name not in ("instances", *OPTIONS, beside)]
    problems = [_key("unknown_key", name, 'may not stand beside "instances"') for name in others]
    for name in OPTIONS:
        if not isinstance(content.get(name, False), bool):
            problems.append(_key("wrong_type", name, "must be true or false"))
    problems += (_key("duplicate_key", name, REPEATED) for name in repeated_keys(content))
    if problems:
        raise InvalidRecords(
            problems[:MAX_LISTED_PROBLEMS], n_records=0, path="/instances", n_problems=len(problems)
        )


def _key(code: ProblemCode, name: object, message: str) -> Problem:
    return Problem(field=printable(name), code=code, message=message)


def _whole_body(code: ProblemCode, message: str, path: str | None) -> InvalidRecords:
    return InvalidRecords([Problem(code=code, message=message)], n_records=0, path=path)
