"""Errors in TensorFlow Serving's format: ``{"error": "text"}``, with the problem details added.

The text begins as TensorFlow Serving's own does. TensorFlow Serving then quotes the invalid value
or the whole object. This service names the location and what is allowed there.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from app.web import ErrorResponse, ServiceResponse

_MORE_PROBLEMS = re.compile(r" \(and \d+ more\)$")
_PLAIN_LIST = (
    "instances is a plain list, but expecting list of objects as multiple input tensors required "
    "as per tensorinfo_map"
)


def render_error(error_response: ErrorResponse) -> ServiceResponse:
    """Return an error in TensorFlow Serving's format.

    TensorFlow Serving has no 422: it maps INVALID_ARGUMENT to 400.
    """
    if error_response.code == "invalid_records":
        problems = [
            {**problem, "pointer": _pointer(problem)}
            for problem in error_response.extensions["errors"]
        ]
        more = _MORE_PROBLEMS.search(error_response.error)
        error_response = msgspec.structs.replace(
            error_response,
            status=400,
            error=_error_text(problems[0]) + (more[0] if more else ""),
            extensions={**error_response.extensions, "errors": problems},
        )
    body = msgspec.json.encode(error_response.details())
    return ServiceResponse(body, error_response.status, headers=error_response.headers)


def _pointer(problem: dict[str, Any]) -> str:
    """Return the JSON pointer of a problem in the body that was sent.

    The problem's own pointer is made of row and field. In the columnar format the column comes
    first, and shared columns are in ``context``.
    """
    pointer: str = problem["pointer"]
    row, field = problem.get("row"), problem.get("field")
    name = pointer.rpartition("/")[2]
    if _top_level_key(problem) == "inputs" and row is not None and field is not None:
        return f"#/inputs/{name}/{row}"
    if _top_level_key(problem) == "examples" and row is None and field is not None:
        return f"#/context/{name}"
    return pointer


def _top_level_key(problem: dict[str, Any]) -> str:
    """Return the top-level key of the body that holds a problem; "" for the whole body."""
    _, _, path = problem["pointer"].partition("/")
    return path.partition("/")[0]


def _error_text(problem: dict[str, Any]) -> str:
    """Return the error message of TensorFlow Serving for a problem."""
    key, row, field = _top_level_key(problem), problem.get("row"), problem.get("field")
    code, message = problem["code"], problem["message"]
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
