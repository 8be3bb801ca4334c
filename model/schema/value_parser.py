"""Parsing and validation of one value of one column.

Records in JSON and cells of a table use the same parser, so levels and ranges are the same for
both. Only the representation of a missing value differs: null in a record, and in a table the cells
that the schema lists.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any

from model.errors import Problem, ProblemCode
from model.schema.table_schema import Column

MISSING = math.nan
_TYPE_NAMES = {str: "a string", bool: "a boolean", list: "a list", dict: "an object"}


class ValueParser:
    """A parser of the values of one column.

    >>> thal = ValueParser(column["thal"])
    >>> thal.parse("Fixed"), thal.parse(6), thal.parse(None)
    (6.0, 6.0, nan)
    >>> thal.parse("fixd").did_you_mean
    'fixed'
    """

    def __init__(self, column: Column) -> None:
        self.column = column
        self.codes = frozenset(column.codes)
        self.code_by_alias = {
            alias.casefold(): float(level.code)
            for level in column.levels
            for alias in level.aliases
        }
        # Values that need no further parsing: codes, None if allowed, and aliases in lower case.
        self.code_by_value: dict[Any, float] = {}
        if column.levels:
            self.code_by_value = self.code_by_alias | {code: float(code) for code in column.codes}
            if not column.required:
                self.code_by_value[None] = MISSING

    def parse(self, value: Any, *, suggest: bool = True) -> float | Problem:
        """Return a value as a number in the schema's unit, or as the code of a level.

        None means missing and becomes NaN.

        Args:
            suggest: search for the most similar alias of a word that is not a level. The search
                is slow compared with the rest of the parsing.

        Returns:
            The number, or the problem of a value that is not allowed. The problem has no row; its
            message names the allowed values and never the value itself.
        """
        column = self.column
        if value is None:
            if column.required:
                return self._problem("null_not_allowed", "is required and must not be missing")
            return MISSING
        if column.kind == "number":
            return self._parse_number(value)
        return self._parse_level(value, suggest)

    def missing_key_problem(self) -> Problem:
        """Return the problem of a record without the key of the column."""
        if self.column.required:
            return self._problem("absent", "is absent but required")
        return self._problem("absent", "is absent; send null if the value is missing")

    def _parse_number(self, value: Any) -> float | Problem:
        column = self.column
        if isinstance(value, bool) or not isinstance(value, int | float):
            type_name = _TYPE_NAMES.get(type(value), "another type")
            return self._problem("wrong_type", f"must be a number, not {type_name}")
        if not _is_finite(value):
            return self._problem("not_finite", "must be a finite number")
        assert column.minimum is not None and column.maximum is not None  # Column checks it
        if column.minimum <= value <= column.maximum:
            return float(value)
        unit = f" {column.unit}" if column.unit else ""
        return self._problem(
            "out_of_range",
            f"must be between {column.minimum:g} and {column.maximum:g}{unit}",
            minimum=column.minimum,
            maximum=column.maximum,
        )

    def _parse_level(self, value: Any, suggest: bool) -> float | Problem:
        suggestion = None
        if isinstance(value, str):
            alias = value.strip().casefold()
            if alias in self.code_by_alias:
                return self.code_by_alias[alias]
            suggestion = did_you_mean(alias, tuple(self.code_by_alias)) if suggest else None
        elif isinstance(value, bool) or not isinstance(value, int | float):
            type_name = _TYPE_NAMES.get(type(value), "another type")
            return self._problem(
                "wrong_type", f"must be a level, not {type_name}", list_allowed=True
            )
        elif value in self.codes:
            return float(value)
        return self._problem(
            "not_allowed", "must be one of", list_allowed=True, did_you_mean=suggestion
        )

    def _problem(
        self, code: ProblemCode, message: str, *, list_allowed: bool = False, **details: Any
    ) -> Problem:
        if list_allowed:
            details["allowed"] = self.column.allowed
            allowed = ", ".join(str(level) for level in self.column.allowed)
            message = f"{message}: {allowed}" if code == "wrong_type" else f"{message} {allowed}"
        return Problem(field=self.column.name, code=code, message=message, **details)


def _is_finite(value: float) -> bool:
    """Return whether a number is finite as a float; an integer above 1.8e308 is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def did_you_mean(word: str, candidates: Sequence[str]) -> str | None:
    """Return the candidate most similar to a word, or None if none is similar.

    Only the first 64 characters are compared, which bounds the time. The word is not cached.

    >>> did_you_mean("thall", ["thal", "chol"])
    'thal'
    """
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(word[:64].casefold(), by_folded, n=1)
    return by_folded[matches[0]] if matches else None
