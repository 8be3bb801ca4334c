"""Examples of the error responses of every problem type, made by the code that rejects requests.

An example of the service's own routes also has the request that causes it, under ``x-request``:
headers, and the body as ``text`` or, if it is not UTF-8, as ``base64``. A test sends them all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator

import msgspec
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from app.models import DocumentedModel
from app.openapi.objects import JSON, ref
from app.routing import ErrorRenderer, Json, Route
from app.web import (
    PROBLEM_TYPES,
    ApiError,
    ErrorResponse,
    NotReady,
    ServiceRequest,
    request_var,
    to_error_response,
)
from model.errors import ExplanationUnavailable, IntervalUnavailable, ModelError
from model.records import MAX_NESTING

EXAMPLE_REQUEST_ID = "an-example"


class ErrorExample(msgspec.Struct, frozen=True):
    """An error response, and the request that causes it if the request alone does.

    Attributes:
        body: a body that the service's own prediction routes reject; None if the cause of the
            error is not the body.
        headers: the headers of the request.
    """

    name: str
    error_response: ErrorResponse
    body: bytes | None = None
    headers: dict[str, str] = {}

    @property
    def request(self) -> Json:
        """The value of ``x-request``; empty if the request is not the cause of the error."""
        request: Json = {"headers": self.headers} if self.headers else {}
        if self.body is not None:
            try:
                request["text"] = self.body.decode()
            except UnicodeDecodeError:
                request["base64"] = base64.b64encode(self.body).decode()
        return request


def error_examples(documented: DocumentedModel) -> dict[str, list[ErrorExample]]:
    """Return examples by problem type, at least one of each."""
    examples: dict[str, list[ErrorExample]] = {code: [] for code in PROBLEM_TYPES}
    for name, error, body, headers in (*_body_errors(documented), *_other_errors(documented)):
        response = to_error_response(error, max_body_bytes=documented.settings.max_body_bytes)
        examples[response.code].append(ErrorExample(name, response, body, headers))
    for code, problem_type in PROBLEM_TYPES.items():
        if not examples[code]:
            error = ApiError(code, problem_type.resolution)
            examples[code] = [ErrorExample(code, to_error_response(error, max_body_bytes=0))]
    return examples


_Rejected = tuple[str, Exception, bytes | None, dict[str, str]]
"""The name of an example, the exception, and the body and headers of the request."""


def _body_errors(documented: DocumentedModel) -> Iterator[_Rejected]:
    """Yield the errors of bodies that the validator of records rejects."""
    record = documented.record
    bodies = {
        "empty_body": b"",
        "body_not_utf8": b'{"name": "\xff\xfe"}',
        "body_not_json": b'{"instances": [',
        "body_nested_too_deeply": b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1),
        "empty_list": b"[]",
        "record_not_an_object": b"[3]",
        "instances_not_a_list": b'{"instances": "none"}',
    }
    invalid: dict[str, Json] = {"unknown_column": {**record, "no_such_column": 1}}
    invalid["absent_column"] = dict(list(record.items())[:-1])
    for column in documented.schema.columns:
        name = column.name
        if column.kind == "number":
            assert column.maximum is not None  # the schema guarantees it
            invalid["number_out_of_range"] = {**record, name: column.maximum + 1}
            invalid["number_as_string"] = {**record, name: "1"}
        else:
            invalid["unknown_level"] = {**record, name: f"{record[name]}-x"}
        if column.required:
            invalid["null_in_required_column"] = {**record, name: None}
    bodies |= {name: json.dumps(value).encode() for name, value in invalid.items()}
    for name, body in bodies.items():
        try:
            documented.validator.validate_json(body)
        except ModelError as error:
            yield name, error, body, {"Content-Type": JSON}


def _other_errors(documented: DocumentedModel) -> Iterator[_Rejected]:
    """Yield the errors of headers, of keys, of versions and of the service."""
    too_long = str(documented.settings.max_body_bytes + 1)
    body = json.dumps(documented.record).encode()
    wrong_type = ApiError("unsupported_media_type", "send Content-Type: application/json")
    for name, error, headers in (
        ("invalid_compressed_data", BadRequest(), {"Content-Encoding": "gzip"}),
        ("body_over_the_limit", RequestEntityTooLarge(), {"Content-Length": too_long}),
        ("body_not_declared_as_json", wrong_type, {"Content-Type": "text/csv"}),
        ("unsupported_compression", UnsupportedMediaType(), {"Content-Encoding": "br"}),
    ):
        yield name, error, body, {"Content-Type": JSON, **headers}
    challenge = (("WWW-Authenticate", "Bearer"),)
    for name, detail in (
        ("no_api_key", "send an API key"),
        ("unknown_api_key", "this API key is not known"),
    ):
        yield name, ApiError("unauthenticated", detail, headers=challenge), None, {}
    yield "no_loaded_model", NotReady("version 4: model.onnx is missing"), None, {}
    yield "unexpected_error", RuntimeError(), None, {}
    for option in ("explain", "interval"):
        try:
            documented.predict_response(documented.record, **{option: True})
        except (ExplanationUnavailable, IntervalUnavailable) as error:
            yield f"version_without_{option}", error, None, {}


def error_responses(
    route: Route, codes: Iterable[str], examples: dict[str, list[ErrorExample]]
) -> dict[str, Json]:
    """Return the Response Objects of a route's errors by status, as the route renders them.

    A path with placeholders can also match no route, depending on the text in them. The errors of
    such a request are problem details, whatever the route renders.
    """
    responses: dict[str, Json] = {}
    token = request_var.set(ServiceRequest({"HTTP_X_REQUEST_ID": EXAMPLE_REQUEST_ID}, 0))
    try:
        _add_responses(responses, route.render_error, codes, examples)
        if route.placeholders and route.render_error is not ErrorResponse.to_response:
            unmatched = ("not_found", "method_not_allowed")
            _add_responses(responses, ErrorResponse.to_response, unmatched, examples)
    finally:
        request_var.reset(token)
    return responses


def _add_responses(
    responses: dict[str, Json],
    render_error: ErrorRenderer,
    codes: Iterable[str],
    examples: dict[str, list[ErrorExample]],
) -> None:
    for code in codes:
        for example in examples[code]:
            rendered = render_error(example.error_response)
            status = str(rendered.status)
            response = responses.setdefault(status, {"description": "", "content": {}})
            title = f"{PROBLEM_TYPES[code].title}."
            if title not in response["description"]:
                response["description"] = f"{response['description']} {title}".strip()
            if status == "401":
                response["headers"] = {"WWW-Authenticate": ref("Challenge", "headers")}
            media_type = rendered.media_type.partition(";")[0]
            is_json = media_type.endswith("json")
            schema = ref("Problem") if is_json else {"type": "string"}
            content = response["content"].setdefault(media_type, {"schema": schema, "examples": {}})
            example_object: Json = {
                "summary": example.name.replace("_", " "),
                "value": msgspec.json.decode(rendered.body) if is_json else rendered.body.decode(),
            }
            if example.request:
                example_object["x-request"] = example.request
            content["examples"][example.name] = example_object
