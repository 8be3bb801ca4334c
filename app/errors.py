"""Every error as RFC 9457 problem details, with one ``error`` string on top.

    {"error": "row 0: age must be between 1 and 120 years (and 1 more)",
     "type": "/problems/invalid_records", "title": "Some records are not valid", "status": 422,
     "detail": "2 problems in 1 of 3 records", "instance": "urn:uuid:…",
     "errors": [{"row": 0, "field": "age", "pointer": "#/instances/0/age",
                 "code": "out_of_range", "message": "must be between 1 and 120 years",
                 "minimum": 1, "maximum": 120}, …]}

Neither an answer nor a log ever holds a value of a record; a log does not hold the names that a
client made up either.
"""

from __future__ import annotations

import logging
import traceback
import uuid
from typing import Any

import msgspec
from flask import Flask, Response, current_app
from werkzeug.exceptions import HTTPException

from app.current import NotReady
from model.errors import InvalidRecords, Problem, UnreadableBody

logger = logging.getLogger(__name__)

# code: (status, title, what to do)
KINDS: dict[str, tuple[int, str, str]] = {
    "empty_body": (400, "The body is empty", "Send a record as a JSON object."),
    "not_utf8": (400, "The body is not UTF-8", "Encode the body as UTF-8."),
    "broken_json": (400, "The body is not JSON", "Mend the JSON at the line and column named."),
    "too_deep": (400, "The body is nested too deeply", "Send flat records."),
    "bad_request": (400, "The request cannot be understood", "Mend the request."),
    "not_found": (404, "There is nothing at this path", "Look the path up in the README."),
    "method_not_allowed": (405, "This path does not take this method", "See the header Allow."),
    "body_too_large": (413, "The body is too large", "Send fewer records at once."),
    "unsupported_media_type": (
        415,
        "The body must be declared as JSON",
        "Send the header Content-Type: application/json.",
    ),
    "invalid_records": (
        422,
        "Some records are not valid",
        "Mend what the list of errors names; GET /schema says what is allowed.",
    ),
    "internal_error": (
        500,
        "The service failed",
        "Report the instance; the log holds what happened under it.",
    ),
    "not_ready": (
        503,
        "No model is loaded",
        "Try again shortly; GET /readyz gives the reason.",
    ),
}

_BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


class UnsupportedMediaType(Exception):
    """The body was not declared as JSON."""


def problem(
    code: str, detail: str, *, error: str | None = None, status: int | None = None, **more: Any
) -> Response:
    """A response of problem details.

    Args:
        code: a key of :data:`KINDS`.
        detail: what is wrong this time.
        error: one sentence for clients that read nothing else; the detail unless given.
        status: instead of the kind's own.
    """
    usual, title, _ = KINDS[code]
    instance = f"urn:uuid:{uuid.uuid4()}"
    body = {
        "error": error or detail,
        "type": f"/problems/{code}",
        "title": title,
        "status": status or usual,
        "detail": detail,
        "instance": instance,
        **more,
    }
    logger.info("refused: %s, status %d, %s", code, status or usual, instance)
    return Response(msgspec.json.encode(body), status or usual, mimetype="application/problem+json")


def register_errors(app: Flask) -> None:
    """Have the app answer every exception with problem details."""
    app.register_error_handler(InvalidRecords, _invalid_records)
    app.register_error_handler(UnreadableBody, lambda e: problem(e.code, str(e)))
    app.register_error_handler(
        UnsupportedMediaType,
        lambda _: problem("unsupported_media_type", "send Content-Type: application/json"),
    )
    app.register_error_handler(NotReady, lambda e: problem("not_ready", str(e)))
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _invalid_records(error: InvalidRecords) -> Response:
    detail = f"{error.n_problems} problem{'s' if error.n_problems > 1 else ''}"
    if error.n_wrong:
        detail += f" in {error.n_wrong} of {error.n_records} records"
    if error.n_problems > len(error.problems):
        detail += f"; the first {len(error.problems)} are listed"
    listed = [_listed(p, error.path) for p in error.problems]
    return problem("invalid_records", detail, error=str(error), errors=listed)


def _listed(found: Problem, path: str | None) -> dict[str, Any]:
    """A problem with a JSON pointer (RFC 6901) to its place in the body."""
    pointer = f"#{path or ''}"
    if path is not None and found.row is not None:
        pointer += f"/{found.row}"
    if found.field is not None:
        pointer += "/" + found.field.replace("~", "~0").replace("/", "~1")
    return {**msgspec.to_builtins(found), "pointer": pointer}


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code = _BY_STATUS.get(status, "bad_request" if status < 500 else "internal_error")
    detail = KINDS[code][1].lower()
    if status == 413:
        detail += f": at most {current_app.config['MAX_CONTENT_LENGTH']} bytes"
    response = problem(code, detail, status=status)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Response:
    """A bug. The log gets where it happened; the message may hold values and is left out."""
    response = problem("internal_error", "an unexpected error; the log holds it")
    instance = msgspec.json.decode(response.get_data())["instance"]
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s under %s\n%s", type(error).__name__, instance, where)
    return response
