"""What is said of a route beyond what its code says by itself.

Operations stand under their method and path, with ``{}`` for every placeholder, such as
``GET /problems/{}``. Only those are listed whose route the service has.
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
    """One method of one path.

    What it is for comes from the docstring of its handler, what it takes of keys from its scope,
    and the form of its refusals from the way in which its protocol refuses.

    Attributes:
        tag: the group that it is shown in.
        responses: Response Objects of OpenAPI by status, where nothing is refused.
        body: Media Type Objects by media type; empty where no body is read.
        body_required: whether an empty body is refused.
        error_codes: keys of :data:`app.web.problem_types.PROBLEM_TYPES` that it can come with, besides those that
            every route can.
        error_schema: of its JSON refusals, where they are no problem details.
        error_schemas: schemas of refusals by status that differ from those of the others.
        note: what there is to say beyond the docstring.
        parameters: beside the placeholders of the path and ``X-Request-ID``.
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
    """What there is to describe: a model that is loaded, and the settings it is served with.

    Its examples are real: the answers are what the model gives.

    Attributes:
        record: one to try the service with, words where there are any.
        coded: the same in codes.
        with_missing: the same with everything missing that may be.
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
        self.reader = RecordValidator(model.schema, max_records=settings.max_records)

    def predict_response(self, *records: Json) -> Json:
        """What ``/predict`` answers to records."""
        scores = self.model.scorer.score(self.reader.values(records))
        return msgspec.json.decode(self.model.writer.write(scores))

    def probabilities(self, *records: Json) -> list[float]:
        """Of records, as every protocol gives them."""
        return [answer["probability"] for answer in self.predict_response(*records)["predictions"]]

    def explain_response(self, *records: Json) -> Json | None:
        """What ``/explain`` answers to records; None where the version cannot explain."""
        values: np.ndarray = self.reader.values(records)
        try:
            explanations = self.model.explain(values)
        except ExplanationUnavailable:
            return None
        scores = self.model.scorer.score(values)
        return msgspec.json.decode(self.model.writer.write(scores, explanations))

    def interval_response(self, *records: Json) -> Json | None:
        """What ``/predict`` answers with intervals; None where the version cannot give any."""
        values: np.ndarray = self.reader.values(records)
        scores = self.model.scorer.score(values)
        try:
            intervals = self.model.intervals(values, scores)
        except IntervalUnavailable:
            return None
        return msgspec.json.decode(self.model.writer.write(scores, intervals=intervals))


class RouteGroup(NamedTuple):
    """The descriptions of a group of routes.

    Attributes:
        routes: operations by method and path.
        schemas: that they refer to, by name.
    """

    routes: Callable[[DocumentedModel], Mapping[str, Operation]]
    schemas: Callable[[DocumentedModel], Json]


def ref(name: str, kind: str = "schemas") -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def media(schema: Json, **examples: Any) -> Json:
    """A Media Type Object; an example is named by its summary with underscores."""
    described: Json = {"schema": schema}
    if examples:
        described["examples"] = {
            name: {"summary": name.replace("_", " "), "value": value}
            for name, value in examples.items()
        }
    return described


def response(description: str, schema: Json, media_type: str = JSON, /, **examples: Any) -> Json:
    """A Response Object with a body of one kind."""
    return {"description": description, "content": {media_type: media(schema, **examples)}}


def object_(**properties: Json) -> Json:
    """The schema of an object that has all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


def with_optional(schema: Json, **properties: Json) -> Json:
    """The schema of an object that may have these properties as well."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def array(items: Json) -> Json:
    """The schema of an array."""
    return {"type": "array", "items": items}


def constant_response(description: str, **values: Any) -> Json:
    """A Response Object whose JSON body is always the same."""
    schema = object_(**{name: {"const": value} for name, value in values.items()})
    return response(description, schema, as_it_is=values)
