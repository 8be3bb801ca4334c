"""Errors in MLflow's format: ``error_code`` and ``message``, with the problem details added."""

from __future__ import annotations

import msgspec

from app.web import ErrorResponse, ServiceResponse

_ERROR_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def render_error(error_response: ErrorResponse) -> ServiceResponse:
    """Return an error in MLflow's format, with all members of the problem details added.

    MLflow has no 422: its clients expect 400 for invalid records.
    """
    status = 400 if error_response.status == 422 else error_response.status
    content = {
        "error_code": _ERROR_CODES.get(status, "BAD_REQUEST"),
        "message": error_response.error,
        **msgspec.structs.replace(error_response, status=status).details(),
    }
    return ServiceResponse(msgspec.json.encode(content), status, headers=error_response.headers)
