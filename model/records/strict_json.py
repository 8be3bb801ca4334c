"""Strict JSON parsing that keeps repeated keys, NaN and huge numbers."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import UnreadableBody

MAX_NESTING = 32

# Possessive quantifiers and the optional closing quote prevent backtracking: linear time.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


class _DuplicateKeysDict(dict[str, Any]):
    """A JSON object with at least one repeated key."""

    duplicates: list[str]


def duplicate_keys(content: object) -> Sequence[str]:
    """Return the repeated keys of an object from :func:`parse_strict_json`."""
    return content.duplicates if isinstance(content, _DuplicateKeysDict) else ()


def parse_strict_json(body: bytes) -> Any:
    """Parse the JSON of a request body.

    NaN, Infinity and numbers too large for a float become floats that are not finite, so that the
    validation can report them by row and column.

    Raises:
        UnreadableBody: the body is empty, not UTF-8, not JSON, or nested more than
            ``MAX_NESTING`` levels deep.
    """
    if not body.strip():
        raise UnreadableBody("empty_body", "the body is empty; send a record as JSON")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8 (byte {error.start})"
        raise UnreadableBody("not_utf8", message) from None
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_NESTING:
            message = f"the body is nested more than {MAX_NESTING} levels deep"
            raise UnreadableBody("too_deep", message)
    try:
        return json.loads(text, object_pairs_hook=_build_object, parse_int=_parse_integer)
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise UnreadableBody("broken_json", message) from None


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    record_with_duplicates = _DuplicateKeysDict(record)
    counts = Counter(name for name, _ in pairs)
    record_with_duplicates.duplicates = [name for name, count in counts.items() if count > 1]
    return record_with_duplicates


def _parse_integer(digits: str) -> int | float:
    """Return an integer, or infinity above 300 digits, which every column rejects."""
    return int(digits) if len(digits) <= 300 else float(digits)


def count_colons(body: bytes) -> int:
    """Return the number of colons in a body: its number of keys if no string contains a colon."""
    if len(body) < 4_096:
        return body.count(b":")
    characters = np.frombuffer(body, np.uint8)
    blocks = (characters[start : start + 2**17] for start in range(0, len(characters), 2**17))
    return sum(int(np.count_nonzero(block == ord(":"))) for block in blocks)
