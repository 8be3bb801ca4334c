"""The kinds of problems that an answer can name, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class ProblemType(NamedTuple):
    """A kind of problem: its usual HTTP status, a title, and what to do about it."""

    status: int
    title: str
    resolution: str


PROBLEM_TYPES: Mapping[str, ProblemType] = {
    "empty_body": ProblemType(400, "The body is empty", "Send a record as a JSON object."),
    "not_utf8": ProblemType(400, "The body is not UTF-8", "Encode the body as UTF-8."),
    "broken_json": ProblemType(
        400, "The body is not JSON", "Mend the JSON at the line and column named."
    ),
    "broken_csv": ProblemType(
        400, "The body is not CSV", "Quote cells as RFC 4180 says; the line is named."
    ),
    "too_deep": ProblemType(400, "The body is nested too deeply", "Send flat records."),
    "bad_request": ProblemType(400, "The request cannot be understood", "Mend the request."),
    "invalid_tensor": ProblemType(
        400,
        "The tensors are not what they say, or not what the model takes",
        "GET /v2/models/NAME lists inputs and outputs; docs/protocols/open-inference.md the forms.",
    ),
    "unauthenticated": ProblemType(
        401,
        "An API key is needed",
        "Send a key as Authorization: Bearer KEY, or as X-API-Key.",
    ),
    "forbidden": ProblemType(
        403,
        "The API key does not allow this",
        "Ask whoever runs the service for a key with the scope that is named.",
    ),
    "management_off": ProblemType(
        403,
        "Managing over HTTP is switched off",
        "Configure an API key with the scope manage, or use the command line.",
    ),
    "not_found": ProblemType(
        404, "There is nothing at this path", "GET /openapi.json lists every path."
    ),
    "method_not_allowed": ProblemType(
        405, "This path does not take this method", "See the header Allow."
    ),
    "version_in_use": ProblemType(
        409,
        "The version is the current one",
        "Promote another version first, or unload without naming a version.",
    ),
    "body_too_large": ProblemType(413, "The body is too large", "Send fewer records at once."),
    "unsupported_media_type": ProblemType(
        415,
        "The body is not of a kind that this path takes",
        "Declare it, such as Content-Type: application/json; compress it with gzip or not at all.",
    ),
    "invalid_records": ProblemType(
        422,
        "Some records are not valid",
        "Mend what the list of errors names; GET /schema says what is allowed.",
    ),
    "internal_error": ProblemType(
        500,
        "The service failed",
        "Report the instance; the log holds what happened under it.",
    ),
    "not_explainable": ProblemType(
        501,
        "This version cannot explain its answers",
        "Retrain: versions trained since then hold what an explanation needs.",
    ),
    "no_interval": ProblemType(
        501,
        "This version cannot give intervals",
        "Ask without, or retrain; GET /model says under capabilities what a version can give.",
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
