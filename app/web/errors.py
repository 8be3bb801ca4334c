"""Error responses as RFC 9457 problem details, plus one ``error`` string.

    {"error": "row 0: age must be between 1 and 120 years (and 1 more)",
     "type": "/problems/invalid_records", "title": "Some records are not valid", "status": 422,
     "detail": "2 problems in 1 of 3 records", "instance": "/requests/…",
     "errors": [{"row": 0, "field": "age", "pointer": "#/instances/0/age",
                 "code": "out_of_range", "message": "must be between 1 and 120 years",
                 "minimum": 1, "maximum": 120}, …]}

Responses and logs never contain a value of a record. Logs also omit the unknown names that a client
sent.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

import msgspec
from werkzeug.exceptions import HTTPException

from app.web.problem_types import BY_STATUS, PROBLEM_TYPES
from app.web.request import ServiceResponse, request_var
from model.errors import InvalidRecords, ModelError, Problem

logger = logging.getLogger(__name__)


class ApiError(Exception):
    """An error of a given problem type.

    Args:
        code: a key of :data:`app.web.problem_types.PROBLEM_TYPES`.
        detail: the explanation of this occurrence.
        headers: additional headers of the response.
        extensions: additional members of the problem details.
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


class NotReady(ApiError):
    """No verified model is loaded; the message says why."""

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__("not_ready", detail, **extensions)


class ErrorResponse(msgspec.Struct, frozen=True):
    """An error response, independent of the protocol that renders it.

    Attributes:
        code: a key of :data:`app.web.problem_types.PROBLEM_TYPES`.
        status: the HTTP status.
        detail: the explanation of this occurrence.
        error: a one-sentence summary, for clients that read nothing else.
        headers: additional headers of the response.
        extensions: additional members of the problem details.
    """

    code: str
    status: int
    detail: str
    error: str
    headers: tuple[tuple[str, str], ...] = ()
    extensions: dict[str, Any] = {}

    def details(self) -> dict[str, Any]:
        """Return the members of the problem details (RFC 9457) and the ``error`` string."""
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
        """Return the response of the service's own routes: ``application/problem+json``."""
        body = msgspec.json.encode(self.details())
        return ServiceResponse(body, self.status, "application/problem+json", self.headers)


def log_error(error: Exception, response: ErrorResponse) -> None:
    """Log the code and status of an error response, and the traceback of an unexpected exception.

    The exception's message may contain a value of a record, so it is not logged.
    """
    if response.status == 500:
        frames = "".join(traceback.format_tb(error.__traceback__))
        instance = response.details()["instance"]
        logger.error("%s in %s\n%s", type(error).__name__, instance, frames)
    logger.info("Request rejected: %s, status %d.", response.code, response.status)


def to_error_response(error: Exception, *, max_body_bytes: int) -> ErrorResponse:
    """Return the error response for an exception: the problem type of its ``code``.

    Args:
        error: any exception; one without a code becomes ``internal_error``, without its message.
        max_body_bytes: the limit that the response to a too long body names.
    """
    if isinstance(error, HTTPException):
        return _http_error(error, max_body_bytes)
    if isinstance(error, InvalidRecords):
        return _invalid_records(error)
    if isinstance(error, ApiError):
        return _error_response(
            error.code, str(error), headers=error.headers, extensions=error.extensions
        )
    if isinstance(error, ModelError) and error.code != ModelError.code:
        return _error_response(error.code, str(error))
    return _error_response(ModelError.code, "unexpected error; the service's log has the traceback")


def _error_response(
    code: str,
    detail: str,
    *,
    error: str | None = None,
    status: int | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    extensions: dict[str, Any] | None = None,
) -> ErrorResponse:
    status = status or PROBLEM_TYPES[code].status
    return ErrorResponse(code, status, detail, error or detail, headers, extensions or {})


def _invalid_records(error: InvalidRecords) -> ErrorResponse:
    detail = f"{error.n_problems} problem{'s' if error.n_problems > 1 else ''}"
    if error.n_invalid:
        detail += f" in {error.n_invalid} of {error.n_records} records"
    if error.n_problems > len(error.problems):
        detail += f"; the first {len(error.problems)} are listed"
    locate = error.locate or (lambda problem: json_pointer(problem, error.path))
    problems = [{**msgspec.to_builtins(p), "pointer": locate(p)} for p in error.problems]
    return _error_response(error.code, detail, error=str(error), extensions={"errors": problems})


def json_pointer(problem: Problem, path: str | None) -> str:
    """Return a JSON pointer (RFC 6901) to the location of a problem in the body.

    Args:
        problem: a problem of a record.
        path: pointer to the list of records; None if the body is a single record.
    """
    pointer = f"#{path or ''}"
    if path is not None and problem.row is not None:
        pointer += f"/{problem.row}"
    if problem.field is not None:
        pointer += "/" + problem.field.replace("~", "~0").replace("/", "~1")
    return pointer


def _http_error(error: HTTPException, max_body_bytes: int) -> ErrorResponse:
    status = error.code or 500
    code = BY_STATUS.get(status, "bad_request" if status < 500 else "internal_error")
    detail = PROBLEM_TYPES[code].title.lower()
    if status == 413:
        detail += f": at most {max_body_bytes} bytes"
    headers = tuple(
        (name, value)
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    )
    return _error_response(code, detail, status=status, headers=headers)
