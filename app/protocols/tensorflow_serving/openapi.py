"""OpenAPI descriptions of TensorFlow Serving's REST API and of KServe's V1."""

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
_LOOKUP_ERRORS = (*MODEL_ERRORS, "not_found", "bad_request")
_REQUEST_ERRORS = tuple(dict.fromkeys([*RECORD_ERRORS, *_LOOKUP_ERRORS]))


def tfserving_routes(documented: DocumentedModel) -> Mapping[str, Operation]:
    """Return the operations on a model, by version or label if given, and on the server."""
    operations: dict[str, Operation] = {}
    for form in FORMS:
        operations |= _model_operations(documented, form)
    model = documented.model
    return operations | {
        "GET /v1/models": Operation(
            tag=_TAG,
            responses={
                200: response(
                    "The names of the models.",
                    object_(models=array({"type": "string"})),
                    one_model={"models": [model.name]},
                )
            },
            error_codes=MODEL_ERRORS,
            error_schema="Error",
        ),
        "GET /monitoring/prometheus/metrics": Operation(
            tag=_TAG,
            responses={
                200: response(
                    "The metrics in the text format of Prometheus.",
                    {"type": "string"},
                    CONTENT_TYPE.partition(";")[0],
                )
            },
            error_schema="Error",
        ),
    }


def _model_operations(documented: DocumentedModel, form: str) -> dict[str, Operation]:
    """Return the operations under one form of a model's path."""
    record, coded = documented.record, documented.coded
    outcome, columns = documented.schema.outcome, documented.schema.column_names
    p, q = documented.probabilities(record, coded)
    columnar = {name: [record[name], coded[name]] for name in columns}
    probability: Json = {"type": "number", "minimum": 0, "maximum": 1}
    prediction: Json = {"type": "array", "items": probability, "minItems": 1, "maxItems": 1}
    class_score: Json = {
        "type": "array",
        "items": {"anyOf": [{"enum": [outcome.negative, outcome.positive]}, probability]},
        "minItems": 2,
        "maxItems": 2,
    }
    tensors = {"anyOf": [ref("TensorRows"), ref("TensorColumns")]}
    rows = {"instances": [record, coded]}
    classify = media(ref("TensorExamples"), examples={"examples": [record, coded]})

    def operation(
        description: str, schema: Json, body: Json, **response_examples: Json
    ) -> Operation:
        return Operation(
            tag=_TAG,
            responses={200: response(description, schema, **response_examples)},
            body={JSON: body},
            error_codes=_REQUEST_ERRORS,
            error_schema="Error",
        )

    predict = media(tensors, rows=rows, columns={"inputs": columnar})
    return {
        f"POST {form}:predict": operation(
            "One list per record, holding its probability.",
            {"anyOf": [object_(predictions=array(prediction)), object_(outputs=array(prediction))]},
            predict,
            rows={"predictions": [[p], [q]]},
            columns={"outputs": [[p], [q]]},
        ),
        f"POST {form}:classify": operation(
            "Both labels of the outcome with their probabilities, for each example.",
            object_(results=array({**array(class_score), "minItems": 2})),
            classify,
            two_examples={"results": [_class_scores(documented, p), _class_scores(documented, q)]},
        ),
        f"POST {form}:regress": operation(
            "One probability per example.",
            object_(results=array(probability)),
            classify,
            two_examples={"results": [p, q]},
        ),
        f"POST {form}:explain": _explain(documented, tensors),
        f"POST {form}:{{}}": Operation(
            tag=_TAG, responses={}, error_codes=("bad_request",), error_schema="Error"
        ),
        f"GET {form}": Operation(
            tag=_TAG,
            responses={200: _status(documented)},
            error_codes=(*_LOOKUP_ERRORS, "method_not_allowed"),
            error_schema="Error",
        ),
        f"GET {form}/metadata": Operation(
            tag=_TAG,
            responses={200: _metadata()},
            error_codes=(*_LOOKUP_ERRORS, "method_not_allowed"),
            error_schema="Error",
        ),
    }


def _explain(documented: DocumentedModel, tensors: Json) -> Operation:
    success = response(
        "The contribution of each column to each prediction.",
        object_(explanations=array(ref("Explanation"))),
    )
    return Operation(
        tag=_TAG,
        responses={} if documented.explain_response(documented.record) is None else {200: success},
        body={JSON: media(tensors, rows={"instances": [documented.record]})},
        error_codes=(*_REQUEST_ERRORS, "not_explainable"),
        error_schema="Error",
    )


def _class_scores(documented: DocumentedModel, probability: float) -> list[list[str | float]]:
    outcome = documented.schema.outcome
    return [[outcome.negative, 1 - probability], [outcome.positive, probability]]


def _status(documented: DocumentedModel) -> Json:
    version = object_(
        version={"type": "string", "pattern": "^[0-9]+$"},
        state={"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
        status=object_(error_code={"type": "string"}, error_message={"type": "string"}),
    )
    current = {
        "version": documented.model.version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return response(
        "The versions and their states.",
        object_(model_version_status=array(version)),
        available={"model_version_status": [current]},
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
    """Return the schemas of the request bodies."""
    name: Json = {"enum": ["", "serving_default"]}
    record = ref("Record")
    properties = {column: _column_ref(column) for column in documented.schema.column_names}
    columns = {
        "type": "object",
        "required": list(properties),
        "properties": {column: array(schema) for column, schema in properties.items()},
    }
    records = {**array(record), "minItems": 1, "maxItems": documented.settings.max_records}
    return {
        "TensorRows": with_optional(object_(instances=records), signature_name=name),
        "TensorColumns": with_optional(object_(inputs=columns), signature_name=name),
        "TensorExamples": with_optional(
            object_(examples={**records, "items": {"type": "object", "properties": properties}}),
            signature_name={"type": "string"},
            context={"type": "object", "properties": properties},
        ),
    }


def _column_ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/Record/properties/{name}"}
