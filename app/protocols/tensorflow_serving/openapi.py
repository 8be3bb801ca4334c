"""The descriptions of TensorFlow Serving's REST API and of KServe's V1 on the same paths."""

from __future__ import annotations

from collections.abc import Mapping

from app.openapi import (
    JSON,
    MODEL_ERRORS,
    RECORD_ERRORS,
    DocumentedModel,
    Json,
    Operation,
    array,
    media,
    object_,
    ref,
    response,
    with_optional,
)
from app.web import CONTENT_TYPE

FORMS = ("/v1/models/{}", "/v1/models/{}/versions/{}", "/v1/models/{}/labels/{}")
_TAG = "TensorFlow Serving"
_FINDS = (*MODEL_ERRORS, "not_found", "bad_request")
_READS = tuple(dict.fromkeys([*RECORD_ERRORS, *_FINDS]))


def tfserving_routes(documented: DocumentedModel) -> Mapping[str, Operation]:
    """By versions, by labels and without either."""
    found: dict[str, Operation] = {}
    for form in FORMS:
        found |= _of_form(documented, form)
    model = documented.model
    return found | {
        "GET /v1/models": Operation(
            tag=_TAG,
            responses={
                200: response(
                    "The names of the models.",
                    object_(models=array({"type": "string"})),
                    this_one={"models": [model.name]},
                )
            },
            error_codes=MODEL_ERRORS,
            error_schema="Error",
        ),
        "GET /monitoring/prometheus/metrics": Operation(
            tag=_TAG,
            responses={
                200: response(
                    "The text format of Prometheus.",
                    {"type": "string"},
                    CONTENT_TYPE.partition(";")[0],
                )
            },
            error_schema="Error",
        ),
    }


def _of_form(documented: DocumentedModel, form: str) -> dict[str, Operation]:
    record, coded = documented.record, documented.coded
    outcome, columns = documented.schema.outcome, documented.schema.column_names
    p, q = documented.probabilities(record, coded)
    columnar = {name: [record[name], coded[name]] for name in columns}
    number: Json = {"type": "number", "minimum": 0, "maximum": 1}
    alone: Json = {"type": "array", "items": number, "minItems": 1, "maxItems": 1}
    pair: Json = {
        "type": "array",
        "items": {"anyOf": [{"enum": [outcome.negative, outcome.positive]}, number]},
        "minItems": 2,
        "maxItems": 2,
    }
    tensors = {"anyOf": [ref("TensorRows"), ref("TensorColumns")]}
    rows = {"instances": [record, coded]}
    examples = media(ref("TensorExamples"), examples={"examples": [record, coded]})

    def verb(description: str, schema: Json, body: Json, **answered: Json) -> Operation:
        return Operation(
            tag=_TAG,
            responses={200: response(description, schema, **answered)},
            body={JSON: body},
            error_codes=_READS,
            error_schema="Error",
        )

    predict = media(tensors, rows=rows, columns={"inputs": columnar})
    return {
        f"POST {form}:predict": verb(
            "One list per record, with its probability.",
            {"anyOf": [object_(predictions=array(alone)), object_(outputs=array(alone))]},
            predict,
            of_rows={"predictions": [[p], [q]]},
            of_columns={"outputs": [[p], [q]]},
        ),
        f"POST {form}:classify": verb(
            "Both labels of the outcome with their probabilities, for each example.",
            object_(results=array({**array(pair), "minItems": 2})),
            examples,
            of_two={"results": [_both(documented, p), _both(documented, q)]},
        ),
        f"POST {form}:regress": verb(
            "The probabilities.",
            object_(results=array(number)),
            examples,
            of_two={"results": [p, q]},
        ),
        f"POST {form}:explain": _explain(documented, tensors),
        f"POST {form}:{{}}": Operation(
            tag=_TAG, responses={}, error_codes=("bad_request",), error_schema="Error"
        ),
        f"GET {form}": Operation(
            tag=_TAG,
            responses={200: _status(documented)},
            error_codes=(*_FINDS, "method_not_allowed"),
            error_schema="Error",
        ),
        f"GET {form}/metadata": Operation(
            tag=_TAG,
            responses={200: _metadata()},
            error_codes=(*_FINDS, "method_not_allowed"),
            error_schema="Error",
        ),
    }


def _explain(documented: DocumentedModel, tensors: Json) -> Operation:
    told = response(
        "The contribution of each column to each prediction.",
        object_(explanations=array(ref("Explanation"))),
    )
    return Operation(
        tag=_TAG,
        responses={} if documented.explain_response(documented.record) is None else {200: told},
        body={JSON: media(tensors, rows={"instances": [documented.record]})},
        error_codes=(*_READS, "not_explainable"),
        error_schema="Error",
    )


def _both(documented: DocumentedModel, probability: float) -> list[list[str | float]]:
    outcome = documented.schema.outcome
    return [[outcome.negative, 1 - probability], [outcome.positive, probability]]


def _status(documented: DocumentedModel) -> Json:
    version = object_(
        version={"type": "string", "pattern": "^[0-9]+$"},
        state={"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
        status=object_(error_code={"type": "string"}, error_message={"type": "string"}),
    )
    now = {
        "version": documented.model.version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return response(
        "The versions and their states.",
        object_(model_version_status=array(version)),
        available={"model_version_status": [now]},
    )


def _metadata() -> Json:
    spec = object_(
        name={"type": "string"}, signature_name={"type": "string"}, version={"type": "string"}
    )
    signatures = object_(signature_def=object_(signature_def={"type": "object"}))
    return response(
        "The signature: one input per column, one output.",
        object_(model_spec=spec, metadata=signatures),
    )


def tfserving_schemas(documented: DocumentedModel) -> Json:
    """The bodies of requests."""
    name: Json = {"enum": ["", "serving_default"]}
    record = ref("Record")
    properties = {column: _of_column(column) for column in documented.schema.column_names}
    columns = {
        "type": "object",
        "required": list(properties),
        "properties": {column: array(schema) for column, schema in properties.items()},
    }
    several = {**array(record), "minItems": 1, "maxItems": documented.settings.max_records}
    return {
        "TensorRows": with_optional(object_(instances=several), signature_name=name),
        "TensorColumns": with_optional(object_(inputs=columns), signature_name=name),
        "TensorExamples": with_optional(
            object_(examples={**several, "items": {"type": "object", "properties": properties}}),
            signature_name={"type": "string"},
            context={"type": "object", "properties": properties},
        ),
    }


def _of_column(name: str) -> Json:
    return {"$ref": f"#/components/schemas/Record/properties/{name}"}
