"""Refusals in TensorFlow Serving's form: ``{"error": "text"}``, with the problem details beside it.

The text begins as TensorFlow Serving's own does, but for one thing: that quotes the value or the
whole object that it could not use, and ours names its place and what is allowed there.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from app.web import ErrorResponse, ServiceResponse

_MORE = re.compile(r" \(and \d+ more\)$")
_PLAIN_LIST = (
    "instances is a plain list, but expecting list of objects as multiple input tensors required "
    "as per tensorinfo_map"
)


def render_error(error_response: ErrorResponse) -> ServiceResponse:
    """A refusal as TensorFlow Serving gives it: INVALID_ARGUMENT is 400 there, and never 422."""
    if error_response.code == "invalid_records":
        listed = [
            {**entry, "pointer": _pointer(entry)} for entry in error_response.extensions["errors"]
        ]
        more = _MORE.search(error_response.error)
        error_response = msgspec.structs.replace(
            error_response,
            status=400,
            error=_error_text(listed[0]) + (more[0] if more else ""),
            extensions={**error_response.extensions, "errors": listed},
        )
    body = msgspec.json.encode(error_response.details())
    return ServiceResponse(body, error_response.status, headers=error_response.headers)


def _pointer(entry: dict[str, Any]) -> str:
    """The JSON pointer to where a problem really stands; it came as that of row and field."""
    pointer: str = entry["pointer"]
    row, field = entry.get("row"), entry.get("field")
    name = pointer.rpartition("/")[2]
    if _top_level_key(entry) == "inputs" and row is not None and field is not None:
        return f"#/inputs/{name}/{row}"
    if _top_level_key(entry) == "examples" and row is None and field is not None:
        return f"#/context/{name}"
    return pointer


def _top_level_key(entry: dict[str, Any]) -> str:
    """The top-level key that a problem stands under; "" for the whole body."""
    _, _, inside = entry["pointer"].partition("/")
    return inside.partition("/")[0]


def _error_text(entry: dict[str, Any]) -> str:
    """What TensorFlow Serving would say of a problem."""
    key, row, field = _top_level_key(entry), entry.get("row"), entry.get("field")
    code, message = entry["code"], entry["message"]
    if row is None:
        if key == "context" and field and code != "duplicate_key":
            return f"Failed to process key: {field} of 'context'. Error: {message}"
        return f"'{key}' {message}" if code == "too_many_records" else message
    if code == "not_an_object":
        if key == "examples":
            return f"Example must be JSON object: item {row} of 'examples' list is none"
        if row == 0:
            return _PLAIN_LIST
        return f"Expecting object but got list at item {row} of input list"
    kind = "object" if key == "inputs" else "list"
    if code == "absent" and key == "instances":
        return (
            f"Failed to process element: {row} of 'instances' list. JSON object: keys must be "
            f"equal to the inputs of the signature: {field} {message}"
        )
    if code == "unknown_column":
        message = f"JSON object: does not have named input: {field}"
    return f"Failed to process element: {row} key: {field} of '{key}' {kind}. Error: {message}"
