"""Every refusal, in the form of RFC 9457 problem details with one ``error`` string on top.

    {"error": "row 0: age must be between 1 and 120 years (and 1 more)",
     "type": "/problems/invalid_records", "title": "Some records are not valid", "status": 422,
     "detail": "2 problems in 1 of 3 records", "instance": "/requests/…",
     "errors": [{"row": 0, "field": "age", "pointer": "#/instances/0/age",
                 "code": "out_of_range", "message": "must be between 1 and 120 years",
                 "minimum": 1, "maximum": 120}, …]}

Neither an answer nor a log ever holds a value of a record; a log does not hold the names that a
client made up either.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import msgspec
from werkzeug.exceptions import HTTPException

from app.web.problem_types import BY_STATUS, PROBLEM_TYPES
from app.web.request import ServiceResponse, request_var
from model.errors import (
    ExplanationUnavailable,
    IntervalUnavailable,
    InvalidRecords,
    Problem,
    UnknownVersion,
    UnreadableBody,
)

logger = logging.getLogger(__name__)


class NotReady(Exception):
    """No verified model is loaded; the message says why."""


class ApiError(Exception):
    """A request that is refused for a reason of its own.

    Args:
        code: a key of :data:`app.web.problem_types.PROBLEM_TYPES`.
        detail: what is wrong this time.
        headers: of the answer.
        extensions: further members of the problem details.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.headers = headers
        self.extensions = extensions


class ErrorResponse(msgspec.Struct, frozen=True):
    """What is wrong with a request, before it has the form of one protocol or another.

    Attributes:
        code: a key of :data:`app.web.problem_types.PROBLEM_TYPES`.
        detail: what is wrong this time.
        error: one sentence for clients that read nothing else.
        extensions: further members of the problem details.
    """

    code: str
    status: int
    detail: str
    error: str
    headers: tuple[tuple[str, str], ...] = ()
    extensions: dict[str, Any] = {}

    def details(self) -> dict[str, Any]:
        """The problem details of RFC 9457, with one ``error`` string on top."""
        request = request_var.get()
        return {
            "error": self.error,
            "type": f"/problems/{self.code}",
            "title": PROBLEM_TYPES[self.code].title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"/requests/{request.request_id if request else 'unknown'}",
            **self.extensions,
        }

    def to_response(self) -> ServiceResponse:
        """As our own routes give it."""
        body = msgspec.json.encode(self.details())
        return ServiceResponse(body, self.status, "application/problem+json", self.headers)


def log_error(error: Exception, *, max_body_bytes: int = 0) -> ErrorResponse:
    """What an exception means to a client; logged, and an unexpected one with where it happened."""
    error_response = to_error_response(error, max_body_bytes=max_body_bytes)
    if error_response.status == 500:
        # A bug. The message may hold values and is left out.
        where = "".join(traceback.format_tb(error.__traceback__))
        instance = error_response.details()["instance"]
        logger.error("%s under %s\n%s", type(error).__name__, instance, where)
    logger.info("refused: %s, status %d", error_response.code, error_response.status)
    return error_response


def to_error_response(error: Exception, *, max_body_bytes: int = 0) -> ErrorResponse:
    """What an exception means to a client; nothing is logged."""
    if isinstance(error, InvalidRecords):
        return _invalid_records(error)
    if isinstance(error, ApiError):
        return _error_response(
            error.code, str(error), headers=error.headers, extensions=error.extensions
        )
    if isinstance(error, UnreadableBody):
        return _error_response(error.code, str(error))
    if isinstance(error, NotReady):
        return _error_response("not_ready", str(error))
    if isinstance(error, ExplanationUnavailable):
        return _error_response("not_explainable", str(error))
    if isinstance(error, IntervalUnavailable):
        return _error_response("no_interval", str(error))
    if isinstance(error, UnknownVersion):
        return _error_response("not_found", str(error))
    if isinstance(error, HTTPException):
        return _http_error(error, max_body_bytes)
    return _error_response("internal_error", "an unexpected error; the log holds it")


def _error_response(
    code: str,
    detail: str,
    *,
    error: str | None = None,
    status: int | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    extensions: dict[str, Any] | None = None,
) -> ErrorResponse:
    usual = PROBLEM_TYPES[code].status
    return ErrorResponse(code, status or usual, detail, error or detail, headers, extensions or {})


def _invalid_records(error: InvalidRecords) -> ErrorResponse:
    detail = f"{error.n_problems} problem{'s' if error.n_problems > 1 else ''}"
    if error.n_invalid:
        detail += f" in {error.n_invalid} of {error.n_records} records"
    if error.n_problems > len(error.problems):
        detail += f"; the first {len(error.problems)} are listed"
    locate = error.locate or (lambda found: json_pointer(found, error.path))
    listed = [{**msgspec.to_builtins(p), "pointer": locate(p)} for p in error.problems]
    return _error_response(
        "invalid_records", detail, error=str(error), extensions={"errors": listed}
    )


def json_pointer(found: Problem, path: str | None) -> str:
    """A JSON pointer (RFC 6901) to the place of a problem in the body."""
    pointer = f"#{path or ''}"
    if path is not None and found.row is not None:
        pointer += f"/{found.row}"
    if found.field is not None:
        pointer += "/" + found.field.replace("~", "~0").replace("/", "~1")
    return pointer


def _http_error(error: HTTPException, max_body_bytes: int) -> ErrorResponse:
    status = error.code or 500
    code = BY_STATUS.get(status, "bad_request" if status < 500 else "internal_error")
    detail = PROBLEM_TYPES[code].title.lower()
    if status == 413 and max_body_bytes:
        detail += f": at most {max_body_bytes} bytes"
    kept = tuple(
        (name, value)
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    )
    return _error_response(code, detail, status=status, headers=kept)
