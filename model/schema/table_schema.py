"""The table, declared once: columns, units, ranges, levels, outcome and source.

Everything that needs to know a column reads it here: table reader, preprocessing, API, JSON Schema
and documentation. A schema is written as TOML by a person and travels in an artifact as JSON.
"""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from model.errors import InvalidSchema
from model.schema.data_source import ForbiddenTarget, RejectedCopy, Source

SCHEMA_FORMAT = 1
TRAINING_ONLY_FIELDS = frozenset({"published", "subgroups"})
"""What says nothing about the table or the model, and so is not in an artifact: with it, an artifact
would no longer fit a schema that is the same in all that counts."""


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value that a category or an ordinal column can take.

    Attributes:
        code: the number that stands for it in tables, such as 6.
        label: how a person reads it, such as "Fixed defect".
        name: its name in features, such as ``fixed`` in ``thal=fixed``; the code unless given.
        aliases: the words taken for it in records and tables, compared without case.
    """

    code: int
    label: str
    name: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def feature_name(self) -> str:
        """The name if there is one, otherwise the code."""
        return self.name or str(self.code)


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of the table.

    Attributes:
        kind: ``number`` (standardised), ``ordinal`` (levels in an order, standardised by code)
            or ``category`` (one-hot, one feature a level).
        unit: of a number; "" where it has none.
        minimum, maximum: the hard range of a number: outside it a value is an error.
        levels: of an ordinal or a category, in the order of the features.
        missing: cells of a table that mean missing, besides the table's own.
        required: whether a record without the value is refused.
        example: a value for documentation, in the table's coding.
    """

    name: str
    title: str
    help: str
    kind: Literal["number", "ordinal", "category"]
    example: float
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    levels: tuple[Level, ...] = ()
    missing: tuple[float, ...] = ()
    required: bool = False

    def __post_init__(self) -> None:
        if self.kind == "number":
            if self.minimum is None or self.maximum is None or self.levels:
                raise ValueError(f"{self.name}: a number has a minimum, a maximum and no levels")
            if not self.minimum <= self.example <= self.maximum:
                raise ValueError(f"{self.name}: the example is outside the range")
        elif len(self.levels) < 2 or self.minimum is not None or self.maximum is not None:
            raise ValueError(f"{self.name}: {self.kind} needs levels, at least two, and no range")
        elif self.example not in self.codes:
            raise ValueError(f"{self.name}: the example is not one of the levels")
        words = [word.casefold() for level in self.levels for word in level.aliases]
        if len(set(words)) < len(words) or len(set(self.codes)) < len(self.codes):
            raise ValueError(f"{self.name}: two levels share a code or a spelling")

    @property
    def codes(self) -> tuple[int, ...]:
        """The levels' codes; empty for a number."""
        return tuple(level.code for level in self.levels)

    @property
    def allowed(self) -> tuple[int | str, ...]:
        """What a record may give for a level: every code, then every spelling."""
        return (*self.codes, *(word for level in self.levels for word in level.aliases))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features that this column becomes: itself, or one a level (``thal=fixed``)."""
        if self.kind == "category":
            return tuple(f"{self.name}={level.feature_name}" for level in self.levels)
        return (self.name,)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is predicted, positive where ``column`` > ``above``. The one place that knows its kind.

    Attributes:
        values: every value that the column may hold in a table.
        positive, negative: the labels of an answer.
        meaning: what the outcome is, for people.
        caution: what it is not, for people.
        forbidden_targets: columns that are refused as the outcome, with the reason.
    """

    column: str
    kind: Literal["binary"]
    above: float
    values: tuple[int, ...]
    positive: str
    negative: str
    meaning: str
    caution: str
    forbidden_targets: tuple[ForbiddenTarget, ...] = ()

    @property
    def rule(self) -> str:
        """The rule in words, such as ``num > 0``."""
        return f"{self.column} > {self.above:g}"


class Subgroups(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column by which a report tells groups of records apart.

    Attributes:
        cuts: of a number, where one group ends and the next begins, rising; near its thirds unless
            given. An ordinal or a category has a group for each level.
    """

    column: str
    cuts: tuple[float, ...] = ()


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of records and its outcome.

    Attributes:
        name: of the model that is trained on it; safe in a path and a URL.
        missing: cells of a table that mean missing, in every column.
        columns: in the order of the values, and of a published file without a header.
        published: sha256 of the files whose rows an artifact may hold, to explain answers with.
        subgroups: the groups that a report looks at one by one, such as by sex and by age.
    """

    format: int
    name: str
    title: str
    description: str
    missing: tuple[str, ...]
    columns: tuple[Column, ...]
    outcome: Outcome
    source: Source
    rejected_copies: tuple[RejectedCopy, ...] = ()
    published: tuple[str, ...] = ()
    subgroups: tuple[Subgroups, ...] = ()

    def __post_init__(self) -> None:
        if self.format != SCHEMA_FORMAT:
            raise ValueError(f"format must be {SCHEMA_FORMAT}")
        if not (self.name.isascii() and self.name.replace("-", "").isalnum()):
            raise ValueError("name: letters, digits and hyphens only")
        names = [*self.column_names, self.outcome.column]
        if len(set(names)) < len(names) or len(names) < 2:
            raise ValueError("columns: at least one, and no two of the same name")
        if "instances" in names:
            raise ValueError("columns: instances is what a request calls its records")
        self._check_subgroups()

    def _check_subgroups(self) -> None:
        columns = {column.name: column for column in self.columns}
        for split in self.subgroups:
            if split.column not in columns:
                raise ValueError(f"subgroups: there is no column {split.column}")
            if split.cuts and columns[split.column].levels:
                raise ValueError(f"subgroups: {split.column} has levels, and needs no cuts")
            if any(low >= high for low, high in itertools.pairwise(split.cuts)):
                raise ValueError(f"subgroups: the cuts of {split.column} do not rise")

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns of a record, in the order of its values."""
        return tuple(column.name for column in self.columns)

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """The columns in the order of the features: standardised ones first, then one-hot."""
        standardised = [column for column in self.columns if column.kind != "category"]
        return (*standardised, *(c for c in self.columns if c.kind == "category"))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The network's inputs, in order; fixed by the schema, whatever a sample holds."""
        return tuple(name for column in self.feature_columns for name in column.feature_names)

    @property
    def fingerprint(self) -> str:
        """``sha256:…`` of the schema as canonical JSON: equal exactly for equal schemas."""
        return "sha256:" + hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """JSON with sorted keys, as an artifact holds it: without :data:`TRAINING_ONLY_FIELDS`."""
        whole = msgspec.to_builtins(self)
        content = {name: part for name, part in whole.items() if name not in TRAINING_ONLY_FIELDS}
        return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> Schema:
        """The inverse of :meth:`to_json`.

        Raises:
            InvalidSchema: not JSON, or not a schema.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidSchema(f"not a schema: {error}") from None


def load_schema(path: Path) -> Schema:
    """Read a schema from TOML.

    ``extends = "other.toml"`` takes over another schema beside it; whatever the file then
    declares itself replaces that part of the other.

    Raises:
        InvalidSchema: no such file, not TOML, or not a schema; the message says where.
    """
    try:
        return msgspec.convert(_read_toml(path), Schema)
    except OSError as error:
        raise InvalidSchema(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InvalidSchema(f"{path}: {error}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    if base := content.pop("extends", None):
        return {**_read_toml(path.parent / base), **content}
    return content
