"""Exceptions of the model package.

    ModelError
    ├── InvalidSchema            the schema file is not valid
    ├── InvalidConfig            a training setting is not allowed
    ├── UnreadableBody           a request body is neither JSON nor CSV
    ├── InvalidRecords           records do not match the schema; lists every problem
    ├── InvalidTable             a table file cannot be used; lists every problem
    ├── DeviceUnavailable        a GPU was requested and none is visible
    ├── ParityError              the graph and the Keras network give different probabilities
    ├── ExplanationUnavailable   the version has no data for explanations
    ├── IntervalUnavailable      the version has no data for intervals
    ├── ArtifactError            the version must not be served
    │   ├── ArtifactIncomplete   a file is missing
    │   ├── ArtifactDamaged      a file differs from the one that was written
    │   ├── UnsupportedFormat    written in a format of another release
    │   ├── SchemaMismatch       the schema is not the one used in training
    │   └── GoldenRowsDiffer     the graph does not reproduce its golden rows
    └── StoreError               the store or its current version cannot be used
        ├── NoCurrentVersion     no version has been trained or promoted yet
        ├── DamagedPointer       the file that names the current version is damaged
        ├── UnknownVersion       the store has no such version
        └── NothingToRollBack    the current version has no predecessor

No message contains a value of a record, because messages are logged. A message names a table cell
by its line and column, and a field of a record by its row and name.

``code`` is the stable identifier of an error that the service can respond with. Its message is then
part of the response. The service derives the HTTP status from the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

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
"""The kinds of problems; ``wrong_length`` only for bodies that contain columns or rows."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem of one record.

    Attributes:
        row: the index of the record in the request, from 0; None for a problem of the whole body.
        field: the name of the column; None for a problem of the whole record.
        code: a stable identifier of the kind of problem, such as ``out_of_range``.
        message: one sentence, without the invalid value.
        minimum, maximum: the hard range, for ``out_of_range``.
        allowed: the allowed values, for ``not_allowed`` and for a level of a wrong type.
        did_you_mean: the most similar valid name or alias.
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
    """The base class of all exceptions of this package.

    Attributes:
        code: the identifier of the error in responses. The default is that of a bug: a request
            cannot cause such an error, and its message is not part of the response.
    """

    code: str = "internal_error"


class InvalidSchema(ModelError):
    """A schema that is not valid; the message says why."""


class InvalidConfig(ModelError):
    """Training settings that are not allowed; the message lists all of them."""


class UnreadableBody(ModelError):
    """A request body that is not JSON or CSV, so that no record was checked.

    Attributes:
        code: ``empty_body``, ``not_utf8``, ``broken_json``, ``too_deep`` or ``broken_csv``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidRecords(ModelError):
    """Records that do not match the schema.

    Attributes:
        problems: every problem of every record, in the order of the records.
        n_problems: the number of problems; more than ``len(problems)`` if not all are listed.
        n_records: the number of records that were checked.
        n_invalid: the number of records with a problem.
        path: the location of the records in the body: ``""``, ``"/instances"``, or None for a
            single record.
        locate: returns the location of a problem as a URI fragment, for a body that is not a list
            of records; None if ``path`` is enough.
    """

    code = "invalid_records"

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
        row = "" if first.row is None else f"row {first.row}: "
        field = "" if first.field is None else f"{first.field} "
        more = f" (and {self.n_problems - 1} more)" if self.n_problems > 1 else ""
        super().__init__(f"{row}{field}{first.message}{more}")


class InvalidTable(ModelError):
    """A table file that cannot be used.

    Attributes:
        problems: one sentence each, with the line and the column if the problem has them.
    """

    def __init__(self, file: str, problems: Sequence[str]) -> None:
        self.problems = problems
        message = f"{file}: {problems[0]}"
        if len(problems) > 1:
            message = "\n  ".join([f"{file}: {len(problems)} problems", *problems])
        super().__init__(message)


class DeviceUnavailable(ModelError):
    """A GPU was requested and none is visible to the Keras backend."""


class ParityError(ModelError):
    """The graph and the pipeline with its Keras network give different probabilities."""


class ExplanationUnavailable(ModelError):
    """The version has no data for explanations; it can still serve probabilities."""

    code = "not_explainable"


class IntervalUnavailable(ModelError):
    """The version has no data for intervals; it can still serve probabilities."""

    code = "no_interval"


class ArtifactError(ModelError):
    """A version that must not be served; the message names the version and the reason."""


class ArtifactIncomplete(ArtifactError):
    """A required file of the artifact is missing."""


class ArtifactDamaged(ArtifactError):
    """A file of the artifact differs from the one that was written."""


class UnsupportedFormat(ArtifactError):
    """The artifact was written in a format that this release does not support."""


class SchemaMismatch(ArtifactError):
    """The schema is not the one used to train the artifact."""


class GoldenRowsDiffer(ArtifactError):
    """The graph does not reproduce the probabilities of its golden rows."""


class StoreError(ModelError):
    """The store or its current version cannot be used."""


class NoCurrentVersion(StoreError):
    """No version has been trained or promoted yet."""


class DamagedPointer(StoreError):
    """The file that names the current version is damaged."""


class UnknownVersion(StoreError):
    """The store has no such version."""

    code = "not_found"


class NothingToRollBack(StoreError):
    """The current version has no predecessor."""
