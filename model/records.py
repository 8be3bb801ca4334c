"""Records: JSON or Python objects → validated values, or every problem of every record at once.

A body that is right is decoded by one compiled msgspec decoder. A body that is not goes a second
time through the patient reader below, which alone decides what is wrong; so there is one set of
rules, and the fast road only has to notice that something is off.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

from model.columns import ColumnReader, did_you_mean
from model.errors import InvalidRecords, Problem
from model.schema import Column, Schema
from model.strict_json import parse, repeated_keys

MAX_LISTED_PROBLEMS = 10_000
REPEATED = "is given more than once"


@dataclass(frozen=True)
class Batch:
    """The validated records of one request.

    Attributes:
        values: float32 (n, n_columns), one column per schema column, in schema order: numbers in
            the schema's unit, levels as their code, missing as NaN. Row i is record i.
        path: where the records stood: None for a single record, ``""`` or ``"/instances"``.
    """

    values: np.ndarray
    path: str | None


class RecordReader:
    """Reads the records of one schema.

    Args:
        max_records: more in one request are refused.
    """

    def __init__(self, schema: Schema, *, max_records: int = 10_000) -> None:
        self.schema = schema
        self.max_records = max_records
        self.columns = [ColumnReader(column) for column in schema.columns]
        record: Any = _record_type(schema)
        self._one = msgspec.json.Decoder(record)
        self._many = msgspec.json.Decoder(list[record])
        self._instances = msgspec.json.Decoder(
            msgspec.defstruct(
                "Instances", [("instances", list[record])], forbid_unknown_fields=True
            )
        )
        # Where no spelling holds a colon, the colons of a body count its keys: msgspec keeps the
        # last of two equal keys without a word, and this is how the fast road notices.
        self._colons_are_keys = not any(":" in str(a) for c in schema.columns for a in c.allowed)

    def read_json(self, body: bytes) -> Batch:
        """Validate the records of a request body.

        The body is one record, a list of records, or ``{"instances": [records]}``.

        Raises:
            UnreadableBody: it is not JSON.
            InvalidRecords: every problem of every record at once, by row and column.

        >>> batch = reader.read_json(b'''{"age": 63, "sex": "male", "cp": 1, "trestbps": 145,
        ...     "chol": 233, "fbs": 1, "restecg": 2, "thalach": 150, "exang": 0, "oldpeak": 2.3,
        ...     "slope": 3, "ca": null, "thal": "fixed"}''')
        >>> batch.values[0, [0, 1, 11, 12]]
        array([63.,  1., nan,  6.], dtype=float32)
        """
        batch = self._read_fast(body) if self._colons_are_keys else None
        if batch is not None and 0 < len(batch.values) <= self.max_records:
            return batch
        return self._read_patiently(parse(body))

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

    def _read_fast(self, body: bytes) -> Batch | None:
        """The batch of a faultless body, or None where the patient reader has to look."""
        path: str | None = ""
        n_keys = body.count(b":")
        try:
            if body.lstrip()[:1] == b"[":
                rows = self._many.decode(body)
            elif b'"instances"' in body[:64]:
                rows, path = self._instances.decode(body).instances, "/instances"  # type: ignore[attr-defined]
                n_keys -= 1
            else:
                rows, path = [self._one.decode(body)], None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None
        if n_keys != len(rows) * len(self.columns):
            return None
        values = np.empty((len(rows), len(self.columns)), dtype=np.float32)
        columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
        for index, (reader, given) in enumerate(zip(self.columns, columns, strict=False)):
            try:
                values[:, index] = (  # None becomes NaN
                    [reader.by_level[value] for value in given] if reader.by_level else given
                )
            except KeyError:
                return None
        return Batch(values, path)

    def _read_patiently(self, content: Any) -> Batch:
        path: str | None = ""
        records = content
        if isinstance(content, dict):
            if "instances" in content:
                path, records = "/instances", content["instances"]
                _refuse_other_keys(content)
            else:
                path, records = None, [content]
        if not isinstance(records, list):
            raise _whole_body(
                "not_records",
                'must be a record, a list of records or {"instances": [records]}',
                path,
            )
        if not records:
            raise _whole_body("no_records", "must hold at least one record", path)
        if len(records) > self.max_records:
            raise _whole_body(
                "too_many_records", f"must hold at most {self.max_records} records", path
            )
        return Batch(self.values(records, path), path)

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


def _record_type(schema: Schema) -> type[msgspec.Struct]:
    """A strict msgspec type for one faultless record of the schema."""

    def annotation(column: Column) -> Any:
        if column.kind == "number":
            kind: Any = Annotated[float, msgspec.Meta(ge=column.minimum, le=column.maximum)]
        else:
            kind = float | str  # ColumnReader.by_level knows which of them are levels
        return kind if column.must_be_known else kind | None

    fields = [(f"c{index}", annotation(column)) for index, column in enumerate(schema.columns)]
    names = {f"c{index}": column.name for index, column in enumerate(schema.columns)}
    return msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True)


def _refuse_other_keys(content: dict[str, Any]) -> None:
    others = [name for name in content if name != "instances"]
    problems = [_key("unknown_key", name, 'may not stand beside "instances"') for name in others]
    problems += (_key("duplicate_key", name, REPEATED) for name in repeated_keys(content))
    if problems:
        raise InvalidRecords(
            problems[:MAX_LISTED_PROBLEMS], n_records=0, path="/instances", n_problems=len(problems)
        )


def _key(code: str, name: object, message: str) -> Problem:
    return Problem(field=printable(name), code=code, message=message)


def _whole_body(code: str, message: str, path: str | None) -> InvalidRecords:
    return InvalidRecords([Problem(code=code, message=message)], n_records=0, path=path)
