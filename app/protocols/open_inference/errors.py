"""Errors in the format of the Open Inference Protocol, with the problem details added."""

from __future__ import annotations

import msgspec

from app.web import ErrorResponse, ServiceResponse


def render_error(error_response: ErrorResponse) -> ServiceResponse:
    """Return an error in the protocol's format. The status of invalid records is 400.

    The problems have no JSON pointers, because binary tensors are not part of the JSON. They have
    rows and columns.
    """
    extensions = dict(error_response.extensions)
    if "errors" in extensions:
        extensions["errors"] = [
            {key: value for key, value in problem.items() if key != "pointer"}
            for problem in extensions["errors"]
        ]
    status = 400 if error_response.status == 422 else error_response.status
    error_response = msgspec.structs.replace(error_response, status=status, extensions=extensions)
    return ServiceResponse(
        msgspec.json.encode(error_response.details()), status, headers=error_response.headers
    )
