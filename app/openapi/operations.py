"""Operations: the parts of a route's OpenAPI description that its code does not determine.

The keys of operations are their method and path, with ``{}`` for every placeholder, such as
``GET /problems/{}``. The document contains only the operations whose route the service has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from app.models import LoadedModel
from app.openapi.record_schema import example_record
from app.settings import Settings
from model.errors import ExplanationUnavailable, IntervalUnavailable
from model.records import RecordValidator

Json = dict[str, Any]

JSON = "application/json"
MODEL_ERRORS = ("not_ready",)
BODY_ERRORS = (
    *("empty_body", "not_utf8", "broken_json", "too_deep", "bad_request"),
    *("body_too_large", "unsupported_media_type"),
)
RECORD_ERRORS = (*BODY_ERRORS, "invalid_records")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation: one method of one path.

    Its summary comes from the docstring of the handler, its security requirement from the scope of
    the route, and its error responses from the error renderer of the protocol.

    Attributes:
        tag: the group of the operation on the documentation page.
        responses: Response Objects of the successful responses, by status.
        body: Media Type Objects by media type; empty if the route reads no body.
        body_required: whether an empty body is an error.
        error_codes: keys of :data:`app.web.problem_types.PROBLEM_TYPES` that the route can respond
            with, in addition to those of every route.
        error_schema: the schema of JSON error responses.
        error_schemas: schemas of error responses with another schema, by status.
        note: text that follows the docstring.
        parameters: Parameter Objects, without the path parameters and ``X-Request-ID``.
    """

    tag: str
    responses: Mapping[int, Json]
    body: Mapping[str, Json] = {}
    body_required: bool = True
    error_codes: Sequence[str] = ()
    error_schema: str = "Problem"
    error_schemas: Mapping[int, Json] = {}
    note: str = ""
    parameters: Sequence[Json] = ()


class DocumentedModel:
    """A loaded model and the settings it is served with, as the source of the examples.

    The responses in the examples are predictions of the model.

    Attributes:
        record: an example record, with level names where the schema has them.
        coded: the same record with level codes.
        with_missing: the same record with null for every column that may be missing.
        validator: the validator of records, with the limits of the settings.
    """

    def __init__(self, model: LoadedModel, settings: Settings) -> None:
        self.model = model
        self.schema = model.schema
        self.settings = settings
        self.record: Json = dict(example_record(model.schema))
        self.coded: Json = {
            column.name: int(column.example) if column.example.is_integer() else column.example
            for column in model.schema.columns
        }
        self.with_missing: Json = {
            column.name: self.record[column.name] if column.required else None
            for column in model.schema.columns
        }
        self.validator = RecordValidator(model.schema, max_records=settings.max_records)

    def predict_response(self, *records: Json) -> Json:
        """Return the response of ``/predict`` to records."""
        scores = self.model.scorer.score(self.validator.values(records))
        return msgspec.json.decode(self.model.writer.write(scores))

    def probabilities(self, *records: Json) -> list[float]:
        """Return the probabilities of records."""
        predictions = self.predict_response(*records)["predictions"]
        return [prediction["probability"] for prediction in predictions]

    def explain_response(self, *records: Json) -> Json | None:
        """Return the response of ``/explain``; None if the version has no explanation data."""
        values: np.ndarray = self.validator.values(records)
        try:
            explanations = self.model.explain(values)
        except ExplanationUnavailable:
            return None
        scores = self.model.scorer.score(values)
        return msgspec.json.decode(self.model.writer.write(scores, explanations))

    def interval_response(self, *records: Json) -> Json | None:
        """Return a response with intervals; None if the version has no interval data."""
        values: np.ndarray = self.validator.values(records)
        scores = self.model.scorer.score(values)
        try:
            intervals = self.model.intervals(values, scores)
        except IntervalUnavailable:
            return None
        return msgspec.json.decode(self.model.writer.write(scores, intervals=intervals))


class RouteGroup(NamedTuple):
    """The operations of one API and the schemas that they refer to.

    Attributes:
        routes: returns the operations, by method and path.
        schemas: returns the schemas, by name.
    """

    routes: Callable[[DocumentedModel], Mapping[str, Operation]]
    schemas: Callable[[DocumentedModel], Json]


def ref(name: str, kind: str = "schemas") -> Json:
    """Return a Reference Object to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def media(schema: Json, **examples: Any) -> Json:
    """Return a Media Type Object; an example's name, without underscores, is its summary."""
    media_type: Json = {"schema": schema}
    if examples:
        media_type["examples"] = {
            name: {"summary": name.replace("_", " "), "value": value}
            for name, value in examples.items()
        }
    return media_type


def response(description: str, schema: Json, media_type: str = JSON, /, **examples: Any) -> Json:
    """Return a Response Object with a body of one media type."""
    return {"description": description, "content": {media_type: media(schema, **examples)}}


def object_(**properties: Json) -> Json:
    """Return the schema of an object that requires all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


def with_optional(schema: Json, **properties: Json) -> Json:
    """Return the schema of an object with these optional properties added."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def array(items: Json) -> Json:
    """Return the schema of an array."""
    return {"type": "array", "items": items}


def constant_response(description: str, **values: Any) -> Json:
    """Return a Response Object whose JSON body is always the same."""
    schema = object_(**{name: {"const": value} for name, value in values.items()})
    return response(description, schema, response=values)
