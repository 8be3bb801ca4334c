"""The problem types of error responses, and how to resolve each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ProblemType(NamedTuple):
    """A problem type (RFC 9457).

    Attributes:
        status: the usual HTTP status; a protocol may use another.
        title: a short summary.
        resolution: what the client or the operator can do.
    """

    status: int
    title: str
    resolution: str


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    "empty_body": ProblemType(400, "The body is empty", "Send a record as a JSON object."),
    "not_utf8": ProblemType(400, "The body is not UTF-8", "Encode the body as UTF-8."),
    "broken_json": ProblemType(
        400, "The body is not JSON", "Correct the JSON at the line and column in the error."
    ),
    "broken_csv": ProblemType(
        400, "The body is not CSV", "Quote cells according to RFC 4180; the error gives the line."
    ),
    "too_deep": ProblemType(400, "The body is nested too deeply", "Send flat records."),
    "bad_request": ProblemType(
        400,
        "The request is malformed",
        "Check Content-Length, Transfer-Encoding and Content-Encoding.",
    ),
    "invalid_tensor": ProblemType(
        400,
        "The tensors are not valid",
        "GET /v2/models/NAME lists the inputs; docs/protocols/open-inference.md gives examples.",
    ),
    "unauthenticated": ProblemType(
        401,
        "An API key is required",
        "Send a key as Authorization: Bearer KEY or as X-API-Key: KEY.",
    ),
    "forbidden": ProblemType(
        403,
        "The API key lacks the required scope",
        "Ask the operator of the service for a key with the scope in the error.",
    ),
    "management_off": ProblemType(
        403,
        "Management over HTTP is disabled",
        "Configure an API key with the scope manage, or use the command line.",
    ),
    "not_found": ProblemType(
        404, "There is nothing at this path", "GET /openapi.json lists every path."
    ),
    "method_not_allowed": ProblemType(
        405, "This path does not allow this method", "Use a method of the header Allow."
    ),
    "version_in_use": ProblemType(
        409,
        "The version is the current one",
        "Promote another version first, or unload the whole model.",
    ),
    "body_too_large": ProblemType(413, "The body is too large", "Send fewer records per request."),
    "unsupported_media_type": ProblemType(
        415,
        "This path does not accept this media type or encoding",
        "Send Content-Type: application/json; compress with gzip or deflate, or not at all.",
    ),
    "invalid_records": ProblemType(
        422,
        "Some records are not valid",
        "Correct every entry of errors; GET /schema returns the allowed values.",
    ),
    "internal_error": ProblemType(
        500,
        "Internal error",
        "Report the value of instance; the service's log has the traceback for it.",
    ),
    "not_explainable": ProblemType(
        501,
        "This version cannot explain its predictions",
        "Ask without explanations, or retrain; GET /model lists capabilities.",
    ),
    "no_interval": ProblemType(
        501,
        "This version cannot give intervals",
        "Ask without intervals, or retrain; GET /model lists capabilities.",
    ),
    "not_ready": ProblemType(
        503,
        "No model is loaded",
        "Try again shortly; GET /readyz gives the reason.",
    ),
}

BY_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}
