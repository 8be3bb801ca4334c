"""The table schema: columns, units, ranges, levels, outcome and source.

A column is declared once. The table reader, the preprocessing, the API, the JSON Schema and the
documentation are derived from the schema. A person writes it as TOML; an artifact stores it as
JSON.
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
"""Fields that describe neither the table nor the model. An artifact does not store them, so that a
change of them does not change the fingerprint."""


class Level(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One level of a category or an ordinal column.

    Attributes:
        code: its number in tables, such as 6.
        label: its name for people, such as "Fixed defect".
        name: its name in features, such as ``fixed`` in ``thal=fixed``; the code if empty.
        aliases: words accepted for it in records and tables; case is ignored.
    """

    code: int
    label: str
    name: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def feature_name(self) -> str:
        """The name, or the code if the name is empty."""
        return self.name or str(self.code)


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of the table.

    Attributes:
        kind: ``number`` (standardised), ``ordinal`` (ordered levels, standardised by code) or
            ``category`` (one-hot, one feature per level).
        unit: of a number; "" if it has none.
        minimum, maximum: the hard range of a number; a value outside it is an error.
        levels: of an ordinal or a category, in the order of the features.
        missing: cells of a table that mean missing, in addition to those of the schema.
        required: whether a record without the value is rejected.
        example: a value for documentation, in the coding of the table.
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
                raise ValueError(
                    f"{self.name}: a number must have a minimum, a maximum and no levels"
                )
            if not self.minimum <= self.example <= self.maximum:
                raise ValueError(f"{self.name}: the example is outside the range")
        elif len(self.levels) < 2 or self.minimum is not None or self.maximum is not None:
            raise ValueError(f"{self.name}: {self.kind} must have at least two levels and no range")
        elif self.example not in self.codes:
            raise ValueError(f"{self.name}: the example is not one of the levels")
        aliases = [alias.casefold() for level in self.levels for alias in level.aliases]
        if len(set(aliases)) < len(aliases) or len(set(self.codes)) < len(self.codes):
            raise ValueError(f"{self.name}: two levels share a code or an alias")

    @property
    def codes(self) -> tuple[int, ...]:
        """The codes of the levels; empty for a number."""
        return tuple(level.code for level in self.levels)

    @property
    def allowed(self) -> tuple[int | str, ...]:
        """The values that a record may contain for a level: every code, then every alias."""
        return (*self.codes, *(alias for level in self.levels for alias in level.aliases))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features of this column: the column itself, or one per level (``thal=fixed``)."""
        if self.kind == "category":
            return tuple(f"{self.name}={level.feature_name}" for level in self.levels)
        return (self.name,)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The predicted outcome: positive if ``column`` > ``above``.

    Attributes:
        values: every value that the column may have in a table.
        positive, negative: the labels of a prediction.
        meaning: a description of the outcome.
        caution: the limits of its interpretation.
        forbidden_targets: columns that are rejected as the outcome, with the reason.
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
        """The rule as text, such as ``num > 0``."""
        return f"{self.column} > {self.above:g}"


class Subgroups(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column whose subgroups a report evaluates separately.

    Attributes:
        cuts: for a number, the boundaries between the groups, in ascending order; close to its
            terciles by default. An ordinal or a category has one group per level.
    """

    column: str
    cuts: tuple[float, ...] = ()


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The declaration of a table of records and its outcome.

    Attributes:
        name: the name of the model that is trained on it; safe in a path and a URL.
        missing: cells of a table that mean missing, in every column.
        columns: in the order of the values, and of a published file without a header.
        published: sha256 of the published files; an artifact may contain rows of these files, as
            the background sample of explanations.
        subgroups: the columns whose subgroups a report evaluates, such as sex and age.
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
            raise ValueError("name: only ASCII letters, digits and hyphens are allowed")
        names = [*self.column_names, self.outcome.column]
        if len(set(names)) < len(names) or len(names) < 2:
            raise ValueError("columns: there must be at least one, and all names must differ")
        if "instances" in names:
            raise ValueError("columns: the name instances is reserved for the records of a request")
        self._check_subgroups()

    def _check_subgroups(self) -> None:
        columns = {column.name: column for column in self.columns}
        for subgroup in self.subgroups:
            name = subgroup.column
            if name not in columns:
                raise ValueError(f"subgroups: there is no column {name}")
            if subgroup.cuts and columns[name].levels:
                raise ValueError(f"subgroups: {name} has levels, so it must not have cuts")
            if any(low >= high for low, high in itertools.pairwise(subgroup.cuts)):
                raise ValueError(f"subgroups: the cuts of {name} are not in ascending order")

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the values of a record."""
        return tuple(column.name for column in self.columns)

    @property
    def feature_columns(self) -> tuple[Column, ...]:
        """The columns in the order of the features: standardised first, then one-hot."""
        standardised = [column for column in self.columns if column.kind != "category"]
        return (*standardised, *(c for c in self.columns if c.kind == "category"))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The inputs of the network, in order. They depend on the schema only, not on a sample."""
        return tuple(name for column in self.feature_columns for name in column.feature_names)

    @property
    def fingerprint(self) -> str:
        """``sha256:…`` of the JSON of :meth:`to_json`, the identity of the schema."""
        return "sha256:" + hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """Return JSON with sorted keys, without :data:`TRAINING_ONLY_FIELDS`, for an artifact."""
        fields = msgspec.to_builtins(self)
        content = {key: value for key, value in fields.items() if key not in TRAINING_ONLY_FIELDS}
        return msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1)

    @classmethod
    def from_json(cls, data: bytes) -> Schema:
        """Load a schema from the JSON of :meth:`to_json`.

        Raises:
            InvalidSchema: the data is not JSON, or not a schema.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidSchema(f"not a schema: {error}") from None


def load_schema(path: Path) -> Schema:
    """Load a schema from a TOML file.

    With ``extends = "other.toml"`` it starts from another schema in the same folder. Each
    top-level key of the file replaces the same key of the other schema.

    Raises:
        InvalidSchema: the file does not exist, is not TOML, or is not a schema. The message names
            the file and the problem.
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
