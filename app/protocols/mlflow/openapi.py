"""OpenAPI descriptions of the routes of MLflow's scoring server and of SageMaker's hosting."""

from __future__ import annotations

import json
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

CSV, LINES = "text/csv", "application/jsonlines"
_TAG = "MLflow and SageMaker"
_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 1}


def mlflow_routes(documented: DocumentedModel) -> Mapping[str, Operation]:
    """Return the operations for health, version, limits of batch transform, and predictions."""
    health = response("A verified model is loaded.", {"type": "object"}, ready={})
    version = response(
        "The version, as plain text.", _TEXT, "text/plain", current=documented.model.version
    )
    limits = object_(
        MaxConcurrentTransforms=_COUNT,
        BatchStrategy={"enum": ["MULTI_RECORD", "SINGLE_RECORD"]},
        MaxPayloadInMB=_COUNT,
    )
    responses = {
        "GET /ping": health,
        "GET /health": health,
        "GET /version": version,
        "GET /execution-parameters": response("Request limits for batch transform.", limits),
    }
    return {
        route: Operation(
            tag=_TAG, responses={200: success}, error_codes=MODEL_ERRORS, error_schema="MlflowError"
        )
        for route, success in responses.items()
    } | {"POST /invocations": _invocations(documented)}


def mlflow_schemas(documented: DocumentedModel) -> Json:
    """Return the schemas of the four request formats, of the response and of an error."""
    names = list(documented.schema.column_names)
    properties = {
        name: array({"$ref": f"#/components/schemas/Record/properties/{name}"}) for name in names
    }
    value: Json = {"type": ["number", "string", "null"]}
    rows = {**array(array(value)), "minItems": 1}
    records = {**array(ref("Record")), "minItems": 1, "maxItems": documented.settings.max_records}
    split = with_optional(object_(columns=array({"enum": names}), data=rows), index={})
    by_column = {"type": "object", "required": names, "properties": properties}
    forms = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": records,
        "inputs": {"anyOf": [by_column, rows, records]},
    }
    return {
        "Invocation": {
            "anyOf": [
                with_optional(object_(**{name: form}), params={}) for name, form in forms.items()
            ]
        },
        "Probabilities": with_optional(
            object_(predictions=array({"type": "number", "minimum": 0, "maximum": 1})),
            notes=array(
                object_(
                    row={"type": "integer", "minimum": 0},
                    missing=array({"enum": names}),
                    warnings=array(ref("InputWarning")),
                )
            ),
        ),
        "MlflowError": object_(error_code=_TEXT, message=_TEXT),
    }


def _invocations(documented: DocumentedModel) -> Operation:
    record, coded = documented.record, documented.coded
    split = {"columns": list(coded), "data": [list(coded.values())]}
    header, row = ",".join(coded), ",".join(str(value) for value in coded.values())
    body = media(
        ref("Invocation"),
        dataframe_split={"dataframe_split": split},
        dataframe_records={"dataframe_records": [record]},
        instances={"instances": [record]},
        inputs={"inputs": {name: [value] for name, value in coded.items()}},
    )
    return Operation(
        tag=_TAG,
        responses={200: _probabilities(documented)},
        body={
            JSON: body,
            CSV: media(_TEXT, with_header=f"{header}\n{row}\n"),
            LINES: media(_TEXT, one_record_per_line=f"{json.dumps(record)}\n"),
        },
        error_codes=(*RECORD_ERRORS, *MODEL_ERRORS),
        error_schema="MlflowError",
        note="Accept selects the media type of the response. The default is JSON, and "
        "JSON Lines for a request in JSON Lines.",
    )


def _probabilities(documented: DocumentedModel) -> Json:
    (p,) = documented.probabilities(documented.record)
    success = response(
        "One probability per record, in the order of the records.",
        ref("Probabilities"),
        one_record={"predictions": [p]},
    )
    lines = media(_TEXT, one_record=f"{p}\n")
    return {**success, "content": {**success["content"], CSV: lines, LINES: lines}}
