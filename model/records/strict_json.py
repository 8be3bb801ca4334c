"""JSON with nothing swept under the carpet: repeated keys, NaN and huge numbers are kept."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from model.errors import UnreadableBody

MAX_NESTING = 32


# Possessive, and content with a string that never ends: it never looks at a character twice.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


_BRACKET = re.compile(r"[\[\]{}]")


class _DuplicateKeysDict(dict[str, Any]):
    """A JSON object in which a key stood more than once."""

    duplicates: list[str]


def duplicate_keys(content: object) -> Sequence[str]:
    """The keys that stood more than once in an object that :func:`parse_strict_json` returned."""
    return content.duplicates if isinstance(content, _DuplicateKeysDict) else ()


def parse_strict_json(body: bytes) -> Any:
    """The content of a body.

    NaN, Infinity and numbers too large for a float come back as floats that are not finite, so
    that whoever reads the value can say where it stood.

    Raises:
        UnreadableBody: empty, not UTF-8, not JSON, or nested more than ``MAX_NESTING`` deep.
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
            raise UnreadableBody("too_deep", f"the body is nested more than {MAX_NESTING} deep")
    try:
        return json.loads(text, object_pairs_hook=_build_object, parse_int=_parse_integer)
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        raise UnreadableBody("broken_json", message) from None


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    marked = _DuplicateKeysDict(record)
    counts = Counter(name for name, _ in pairs)
    marked.duplicates = [name for name, count in counts.items() if count > 1]
    return marked


def _parse_integer(digits: str) -> int | float:
    """An integer; past 300 digits infinity, which every column refuses."""
    return int(digits) if len(digits) <= 300 else float(digits)


def count_colons(body: bytes) -> int:
    """The colons of a body; where no string holds one, as many as it has keys."""
    if len(body) < 4_096:
        return body.count(b":")
    letters = np.frombuffer(body, np.uint8)
    parts = (letters[start : start + 2**17] for start in range(0, len(letters), 2**17))
    return sum(int(np.count_nonzero(part == ord(":"))) for part in parts)
