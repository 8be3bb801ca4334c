"""What can go wrong, as a drawn tree of exceptions.

    ModelError
    ├── InvalidSchema            the schema file contradicts itself
    ├── InvalidConfig            a training setting is outside what is allowed
    ├── UnreadableBody           bytes that are neither JSON nor CSV
    ├── InvalidRecords           records that do not fit the schema, every problem of them
    ├── InvalidTable             a file of records that cannot be used, every problem of it
    ├── DeviceUnavailable        a GPU was asked for and none is visible
    ├── ExportUnavailable        no installed Keras backend can make the graph
    ├── ParityError              the graph and the Keras network disagree
    ├── ExplanationUnavailable   a version without what explanations need
    ├── ArtifactError            a version folder that must not be served
    │   ├── ArtifactIncomplete   a file is missing
    │   ├── ArtifactDamaged      a file's bytes are not the ones that were written
    │   ├── ArtifactTooNew       written by a later release than this one
    │   ├── SchemaMismatch       the schema is not the one that it was trained on
    │   └── GoldenRowsDiffer     the graph does not give the answers it was saved with
    └── StoreError               versions and the current one
        ├── NoCurrentVersion     nothing has been trained or promoted yet
        ├── DamagedPointer       the file that names the current version is no such file
        ├── UnknownVersion       no such version in the store
        └── NothingToRollBack    the current version has no predecessor

No message holds a value of a record: messages end up in logs. A cell of a table is named by its
line and column, a field of a record by its row and name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

import msgspec

ProblemCode = Literal[
    "absent",
    "duplicate_key",
    "null_not_allowed",
    "no_records",
    "not_allowed",
    "not_an_object",
    "not_finite",
    "not_records",
    "out_of_range",
    "too_many_records",
    "unknown_column",
    "unknown_key",
    "wrong_length",
    "wrong_type",
]
"""Every kind of problem of a record; ``wrong_length`` only where a body holds columns or rows."""
PROBLEM_CODES: Final[tuple[ProblemCode, ...]] = get_args(ProblemCode)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong with one record, in words and in a form that a program can read.

    Attributes:
        row: the record's place in the request, from 0; None when the whole body is meant.
        field: the column; None when the whole record is meant.
        code: a stable word for the kind of problem, such as ``out_of_range``.
        message: one sentence without the offending value.
        minimum, maximum: the hard range, for ``out_of_range``.
        allowed: what may be given instead, for ``not_allowed``.
        did_you_mean: the nearest name or spelling that exists.
    """

    row: int | None = None
    field: str | None = None
    code: ProblemCode
    message: str
    minimum: float | None = None
    maximum: float | None = None
    allowed: Sequence[float | str] | None = None
    did_you_mean: str | None = None


class ModelError(Exception):
    """The root: everything that this package refuses to do, and why."""


class InvalidSchema(ModelError):
    """The schema file cannot be used; the message lists why."""


class InvalidConfig(ModelError):
    """Training settings outside what is allowed; the message lists every one."""


class UnreadableBody(ModelError):
    """Bytes that are not JSON, or not CSV: nothing in them could be looked at.

    Attributes:
        code: ``empty_body``, ``not_utf8``, ``broken_json``, ``too_deep`` or ``broken_csv``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidRecords(ModelError):
    """Records that do not fit the schema.

    Attributes:
        problems: every problem of every record, in the order of the records.
        n_problems: how many there are; more than ``len(problems)`` if not all are listed.
        n_records: how many records were looked at.
        n_invalid: how many of them have a problem.
        path: where the records stand in the body: ``""``, ``"/instances"``, or None for one record.
        locate: gives the place of a problem as the fragment of a URI, where a body is laid out in
            another way than as a list of records; None where ``path`` says it all.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        n_records: int,
        n_invalid: int = 0,
        path: str | None = "",
        n_problems: int | None = None,
    ) -> None:
        self.problems = problems
        self.n_problems = len(problems) if n_problems is None else n_problems
        self.n_records = n_records
        self.n_invalid = n_invalid
        self.path = path
        self.locate: Callable[[Problem], str] | None = None
        first = problems[0]
        place = "" if first.row is None else f"row {first.row}: "
        name = "" if first.field is None else f"{first.field} "
        more = f" (and {self.n_problems - 1} more)" if self.n_problems > 1 else ""
        super().__init__(f"{place}{name}{first.message}{more}")


class InvalidTable(ModelError):
    """A file that cannot be used.

    Attributes:
        problems: one sentence each, with line and column where there are any.
    """

    def __init__(self, file: str, problems: Sequence[str]) -> None:
        self.problems = problems
        head = f"{file}: {problems[0]}"
        if len(problems) > 1:
            head = "\n  ".join([f"{file}: {len(problems)} problems", *problems])
        super().__init__(head)


class DeviceUnavailable(ModelError):
    """A GPU was asked for and none is visible to the Keras backend."""


class ExportUnavailable(ModelError):
    """No Keras backend that is installed can export the graph."""


class ParityError(ModelError):
    """The graph's probabilities are not those of the pipeline and the Keras network."""


class ExplanationUnavailable(ModelError):
    """The version was trained before answers could be explained; it serves, but cannot explain."""


class IntervalUnavailable(ModelError):
    """The version was trained without what intervals need; it serves, but cannot give any."""


class ArtifactError(ModelError):
    """A version folder that must not be served; the message names the version and the reason."""


class ArtifactIncomplete(ArtifactError):
    """A file that an artifact consists of is missing."""


class ArtifactDamaged(ArtifactError):
    """A file's bytes are not the ones that were written."""


class ArtifactTooNew(ArtifactError):
    """The artifact was written in a format that this release does not know."""


class SchemaMismatch(ArtifactError):
    """The schema is not the one that the artifact was trained on."""


class GoldenRowsDiffer(ArtifactError):
    """The graph does not reproduce the probabilities that it was saved with."""


class StoreError(ModelError):
    """Something about the versions of an artifact."""


class NoCurrentVersion(StoreError):
    """Nothing has been trained or promoted yet."""


class DamagedPointer(StoreError):
    """The file that names the current version is damaged."""


class UnknownVersion(StoreError):
    """There is no such version in the store."""


class NothingToRollBack(StoreError):
    """The current version has no predecessor."""
