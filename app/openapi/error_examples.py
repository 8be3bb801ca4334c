"""Examples of the error responses of every problem type, made by the code that rejects requests.

An example of the service's own routes also has the request that causes it, under ``x-request``:
headers, and the body as ``text`` or, if it is not UTF-8, as ``base64``. A test sends them all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial

import msgspec
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from app.openapi.operations import JSON, DocumentedModel, Json, Operation, ref
from app.service import ErrorRenderer, Route
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
    for example in (*_body_errors(documented), *_other_errors(documented)):
        examples[example.error_response.code].append(example)
    for code, problem_type in PROBLEM_TYPES.items():
        if not examples[code]:
            error = ApiError(code, problem_type.resolution)
            examples[code] = [_example(documented, code, error)]
    return examples


def _example(
    documented: DocumentedModel,
    name: str,
    error: Exception,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> ErrorExample:
    response = to_error_response(error, max_body_bytes=documented.settings.max_body_bytes)
    return ErrorExample(name, response, body, headers or {})


def _body_errors(documented: DocumentedModel) -> Iterator[ErrorExample]:
    """Yield the errors of bodies that the validator of records rejects."""
    record = documented.record
    bodies = {
        "empty_body": b"",
        "body_is_not_UTF-8": b'{"name": "\xff\xfe"}',
        "body_is_not_JSON": b'{"instances": [',
        "body_is_nested_too_deeply": b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1),
        "empty_list": b"[]",
        "record_is_not_an_object": b"[3]",
        "instances_is_not_a_list": b'{"instances": "none"}',
    }
    invalid: dict[str, Json] = {"unknown_column": {**record, "no_such_column": 1}}
    invalid["absent_column"] = dict(list(record.items())[:-1])
    for column in documented.schema.columns:
        name = column.name
        if column.kind == "number":
            assert column.maximum is not None  # the schema guarantees it
            invalid["number_out_of_range"] = {**record, name: column.maximum + 1}
            invalid["number_as_a_string"] = {**record, name: "1"}
        else:
            invalid["unknown_level"] = {**record, name: f"{record[name]}-x"}
        if column.required:
            invalid["required_column_is_null"] = {**record, name: None}
    bodies |= {name: json.dumps(value).encode() for name, value in invalid.items()}
    for name, body in bodies.items():
        try:
            documented.validator.validate_json(body)
        except ModelError as error:
            yield _example(documented, name, error, body, {"Content-Type": JSON})


def _other_errors(documented: DocumentedModel) -> Iterator[ErrorExample]:
    """Yield the errors of headers, of keys, of versions and of the service."""
    example = partial(_example, documented)
    too_long = str(documented.settings.max_body_bytes + 1)
    body = json.dumps(documented.record).encode()
    wrong_type = ApiError("unsupported_media_type", "send Content-Type: application/json")
    for name, error, headers in (
        ("invalid_compressed_data", BadRequest(), {"Content-Encoding": "gzip"}),
        ("Content-Length_over_the_limit", RequestEntityTooLarge(), {"Content-Length": too_long}),
        ("body_is_not_declared_as_JSON", wrong_type, {"Content-Type": "text/csv"}),
        ("unsupported_Content-Encoding", UnsupportedMediaType(), {"Content-Encoding": "br"}),
    ):
        yield example(name, error, body, {"Content-Type": JSON, **headers})
    challenge = (("WWW-Authenticate", "Bearer"),)
    for name, detail in (
        ("no_API_key", "send an API key"),
        ("unknown_API_key", "this API key is not known"),
    ):
        yield example(name, ApiError("unauthenticated", detail, headers=challenge))
    yield example("no_loaded_model", NotReady("version 4: model.onnx is missing"))
    yield example("unexpected_error", RuntimeError())
    advice = "run make retrain to train a version that has it"
    no_explanations = ExplanationUnavailable(f"version 1 has no explanation data: {advice}")
    yield example("version_without_explanation_data", no_explanations)
    no_intervals = IntervalUnavailable(f"version 1 has no interval data: {advice}")
    yield example("version_without_interval_data", no_intervals)


def error_responses(
    operation: Operation, route: Route, codes: list[str], examples: dict[str, list[ErrorExample]]
) -> dict[str, Json]:
    """Return the Response Objects of a route's errors by status, in the format of its protocol.

    A path with placeholders can also match no route, depending on the text in them. Such a request
    belongs to no protocol, so its errors are problem details.
    """
    responses: dict[str, Json] = {}
    token = request_var.set(ServiceRequest({"HTTP_X_REQUEST_ID": EXAMPLE_REQUEST_ID}, 0))
    try:
        _add_responses(responses, operation, route.render_error, codes, examples)
        if "<" in route.rule and operation.error_schema != "Problem":
            _add_responses(
                responses,
                msgspec.structs.replace(operation, error_schema="Problem"),
                ErrorResponse.to_response,
                ["not_found", "method_not_allowed"],
                examples,
            )
    finally:
        request_var.reset(token)
    return responses


def _add_responses(
    responses: dict[str, Json],
    operation: Operation,
    render_error: ErrorRenderer,
    codes: list[str],
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
            schema = operation.error_schemas.get(rendered.status, ref(operation.error_schema))
            content = response["content"].setdefault(
                media_type, {"schema": schema if is_json else {"type": "string"}, "examples": {}}
            )
            example_object: Json = {
                "summary": example.name.replace("_", " "),
                "value": msgspec.json.decode(rendered.body) if is_json else rendered.body.decode(),
            }
            if example.request and operation.error_schema == "Problem":
                example_object["x-request"] = example.request
            content["examples"][example.name] = example_object
