"""One example or more of every kind of refusal, made by the code that refuses.

An example of our own routes also holds, under ``x-request``, what it is the answer to: headers,
and the body as ``text`` or, where it is no text, as ``base64``. A test sends them all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

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
    """A refusal, and the request that it answers where that can be told.

    Attributes:
        body: that our own prediction routes refuse so; None where it is not the body.
    """

    name: str
    error_response: ErrorResponse
    body: bytes | None = None
    headers: dict[str, str] = {}

    @property
    def request(self) -> Json:
        """As ``x-request`` tells it; empty where it cannot be told."""
        told: Json = {"headers": self.headers} if self.headers else {}
        if self.body is not None:
            try:
                told["text"] = self.body.decode()
            except UnicodeDecodeError:
                told["base64"] = base64.b64encode(self.body).decode()
        return told


def error_examples(documented: DocumentedModel) -> dict[str, list[ErrorExample]]:
    """Examples by the kind of problem; every kind has one."""
    found: dict[str, list[ErrorExample]] = {code: [] for code in PROBLEM_TYPES}
    for example in (*_body_errors(documented), *_other_errors(documented)):
        found[example.error_response.code].append(example)
    for code, kind in PROBLEM_TYPES.items():
        if not found[code]:
            found[code] = [ErrorExample(code, to_error_response(ApiError(code, kind.resolution)))]
    return found


def _body_errors(documented: DocumentedModel) -> Iterator[ErrorExample]:
    """What the reader of records refuses, read by it."""
    record = documented.record
    bodies = {
        "the_body_is_empty": b"",
        "the_body_is_not_UTF-8": b'{"name": "\xff\xfe"}',
        "the_body_is_not_JSON": b'{"instances": [',
        "the_body_is_nested_too_deeply": b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1),
        "there_is_no_record": b"[]",
        "a_record_is_no_object": b"[3]",
        "no_records_at_all": b'{"instances": "none"}',
    }
    changed: dict[str, Json] = {"a_column_is_unknown": {**record, "no_such_column": 1}}
    changed["a_column_is_absent"] = dict(list(record.items())[:-1])
    for column in documented.schema.columns:
        name = column.name
        if column.kind == "number":
            assert column.maximum is not None  # the schema saw to it
            changed["a_number_is_out_of_range"] = {**record, name: column.maximum + 1}
            changed["a_number_is_given_as_text"] = {**record, name: "1"}
        else:
            word = str(record[name])
            changed["a_level_is_not_allowed"] = {**record, name: f"{word}-x"}
        if column.required:
            changed["a_value_must_be_known"] = {**record, name: None}
    bodies |= {name: json.dumps(body).encode() for name, body in changed.items()}
    for name, body in bodies.items():
        try:
            documented.reader.validate_json(body)
        except ModelError as error:
            yield ErrorExample(name, to_error_response(error), body, {"Content-Type": JSON})


def _other_errors(documented: DocumentedModel) -> Iterator[ErrorExample]:
    limit = documented.settings.max_body_bytes
    good = json.dumps(documented.record).encode()
    yield ErrorExample(
        "it_is_not_packed_as_it_says",
        to_error_response(BadRequest()),
        good,
        {"Content-Type": JSON, "Content-Encoding": "gzip"},
    )
    yield ErrorExample(
        "it_declares_more_than_the_limit",
        to_error_response(RequestEntityTooLarge(), max_body_bytes=limit),
        good,
        {"Content-Type": JSON, "Content-Length": str(limit + 1)},
    )
    wrong_type = ApiError("unsupported_media_type", "send Content-Type: application/json")
    yield ErrorExample(
        "it_is_not_declared_as_JSON",
        to_error_response(wrong_type),
        good,
        {"Content-Type": "text/csv"},
    )
    yield ErrorExample(
        "it_is_packed_in_another_way",
        to_error_response(UnsupportedMediaType()),
        good,
        {"Content-Type": JSON, "Content-Encoding": "br"},
    )
    challenge = (("WWW-Authenticate", "Bearer"),)
    for name, detail in (
        ("no_key_was_sent", "send an API key"),
        ("the_key_is_not_known", "this API key is not known"),
    ):
        yield ErrorExample(
            name, to_error_response(ApiError("unauthenticated", detail, headers=challenge))
        )
    yield ErrorExample(
        "no_model_is_loaded", to_error_response(NotReady("version 4: model.onnx is missing"))
    )
    yield ErrorExample("a_bug", to_error_response(RuntimeError()))
    old = ExplanationUnavailable("this version holds nothing to explain its answers with")
    yield ErrorExample("the_version_is_old", to_error_response(old))
    without = IntervalUnavailable("this version holds nothing to give intervals with")
    yield ErrorExample("the_version_has_no_intervals", to_error_response(without))


def error_responses(
    operation: Operation, route: Route, codes: list[str], known: dict[str, list[ErrorExample]]
) -> dict[str, Json]:
    """The Response Objects of the refusals of a route by status, in its protocol's words.

    What is written in the place of a placeholder may make another path of it; that is refused in
    our own words, because no protocol has it.
    """
    found: dict[str, Json] = {}
    token = request_var.set(ServiceRequest({"HTTP_X_REQUEST_ID": EXAMPLE_REQUEST_ID}, 0))
    try:
        _add_responses(found, operation, route.render_error, codes, known)
        if "<" in route.rule and operation.error_schema != "Problem":
            ours = msgspec.structs.replace(operation, error_schema="Problem")
            _add_responses(
                found, ours, ErrorResponse.to_response, ["not_found", "method_not_allowed"], known
            )
    finally:
        request_var.reset(token)
    return found


def _add_responses(
    found: dict[str, Json],
    operation: Operation,
    render_error: ErrorRenderer,
    codes: list[str],
    known: dict[str, list[ErrorExample]],
) -> None:
    for code in codes:
        for example in known[code]:
            given = render_error(example.error_response)
            status = str(given.status)
            response = found.setdefault(status, {"description": "", "content": {}})
            title = f"{PROBLEM_TYPES[code].title}."
            if title not in response["description"]:
                response["description"] = f"{response['description']} {title}".strip()
            if status == "401":
                response["headers"] = {"WWW-Authenticate": ref("Challenge", "headers")}
            media_type = given.media_type.partition(";")[0]
            is_json = media_type.endswith("json")
            schema = operation.error_schemas.get(given.status, ref(operation.error_schema))
            content = response["content"].setdefault(
                media_type, {"schema": schema if is_json else {"type": "string"}, "examples": {}}
            )
            shown: Json = {
                "summary": example.name.replace("_", " "),
                "value": msgspec.json.decode(given.body) if is_json else given.body.decode(),
            }
            if example.request and operation.error_schema == "Problem":
                shown["x-request"] = example.request
            content["examples"][example.name] = shown
