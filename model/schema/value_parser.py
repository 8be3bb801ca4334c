"""One value of one column: what a person or a program gave, read by the schema's rules.

Records that arrive as JSON and cells of a table go through the same reader, so that both know the
same levels and ranges. What means missing differs: null in a record, and in a table the cells that
the schema lists.
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
    """Reads values of one column.

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
            word.casefold(): float(level.code) for level in column.levels for word in level.aliases
        }
        # Every value that needs no second look: codes, missing, and aliases in lower case.
        self.code_by_value: dict[Any, float] = {}
        if column.levels:
            self.code_by_value = self.code_by_alias | {code: float(code) for code in column.codes}
            if not column.required:
                self.code_by_value[None] = MISSING

    def parse(self, value: Any, *, suggest: bool = True) -> float | Problem:
        """The value in the network's coding: a number in the schema's unit, or a level's code.

        Missing (None) is NaN. What is not allowed comes back as a problem without a row, which
        names what is allowed and never the value.

        Args:
            suggest: look for the spelling that may have been meant; it takes a while.
        """
        column = self.column
        if value is None:
            if column.required:
                return self._problem(
                    "null_not_allowed", "must be known: missing is not allowed here"
                )
            return MISSING
        if column.kind == "number":
            return self._parse_number(value)
        return self._parse_level(value, suggest)

    def missing_key_problem(self) -> Problem:
        """The problem of a record that does not name the column at all."""
        if self.column.required:
            return self._problem("absent", "is absent, and must be known")
        return self._problem("absent", "is absent; give null where it is not known")

    def _parse_number(self, value: Any) -> float | Problem:
        column = self.column
        if isinstance(value, bool) or not isinstance(value, int | float):
            given = _TYPE_NAMES.get(type(value), "something else")
            return self._problem("wrong_type", f"must be a number, not {given}")
        if not _is_finite(value):
            return self._problem("not_finite", "must be a finite number")
        assert column.minimum is not None and column.maximum is not None  # the schema saw to it
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
        near = None
        if isinstance(value, str):
            word = value.strip().casefold()
            if word in self.code_by_alias:
                return self.code_by_alias[word]
            near = did_you_mean(word, tuple(self.code_by_alias)) if suggest else None
        elif isinstance(value, bool) or not isinstance(value, int | float):
            given = _TYPE_NAMES.get(type(value), "something else")
            return self._problem("wrong_type", f"must be a level, not {given}", list_allowed=True)
        elif value in self.codes:
            return float(value)
        return self._problem("not_allowed", "must be one of", list_allowed=True, did_you_mean=near)

    def _problem(
        self, code: ProblemCode, message: str, *, list_allowed: bool = False, **details: Any
    ) -> Problem:
        if list_allowed:
            details["allowed"] = self.column.allowed
            listed = ", ".join(str(level) for level in self.column.allowed)
            message = f"{message}: {listed}" if code == "wrong_type" else f"{message} {listed}"
        return Problem(field=self.column.name, code=code, message=message, **details)


def _is_finite(value: float) -> bool:
    """Whether a number is finite as a float; an integer past 1.8e308 is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """The known word nearest to a mistaken one, or None where nothing is near.

    Only the first 64 characters count, and nothing of the word is kept.
    """
    folded = {name.casefold(): name for name in known}
    nearest = difflib.get_close_matches(word[:64].casefold(), folded, n=1)
    return folded[nearest[0]] if nearest else None
