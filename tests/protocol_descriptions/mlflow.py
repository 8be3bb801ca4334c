"""The routes of MLflow's scoring server and of SageMaker's hosting."""

from __future__ import annotations

import json

from app.models import DocumentedModel
from app.openapi.objects import (
    JSON,
    MODEL_ERRORS,
    RECORD_ERRORS,
    array,
    media,
    object_,
    ref,
    response,
    with_optional,
)
from app.protocols.mlflow import routes
from app.routing import Json
from tests.protocol_descriptions.description import (
    TEXT,
    Description,
    Descriptions,
    column_schema,
    probabilities,
    query,
)

CSV, LINES = "text/csv", "application/jsonlines"
COUNT: Json = {"type": "integer", "minimum": 1}
ERROR = object_(error_code=TEXT, message=TEXT)


def descriptions(documented: DocumentedModel) -> Descriptions:
    """Return the descriptions of the handlers."""
    version = response(
        "The version, as plain text.", TEXT, "text/plain", current=documented.model.version
    )
    limits = object_(
        MaxConcurrentTransforms=COUNT,
        BatchStrategy={"enum": ["MULTI_RECORD", "SINGLE_RECORD"]},
        MaxPayloadInMB=COUNT,
    )
    return {
        routes.ping: query(
            "A verified model is loaded.", {"type": "object"}, *MODEL_ERRORS, ready={}
        ),
        routes.version: Description({200: version}, MODEL_ERRORS),
        routes.execution_parameters: query(
            "Request limits for batch transform.", limits, *MODEL_ERRORS
        ),
        routes.invocations: invocations(documented),
    }


def invocations(documented: DocumentedModel) -> Description:
    """Return the description of predictions: four forms of JSON, CSV and JSON lines."""
    record, coded = documented.record, documented.coded
    header, row = ",".join(coded), ",".join(str(value) for value in coded.values())
    (p,) = probabilities(documented, record)
    content = {
        JSON: media(
            ref("Invocation"),
            dataframe_split={
                "dataframe_split": {"columns": list(coded), "data": [list(coded.values())]}
            },
            dataframe_records={"dataframe_records": [record]},
            instances={"instances": [record]},
            inputs={"inputs": {name: [value] for name, value in coded.items()}},
        ),
        CSV: media(TEXT, with_header=f"{header}\n{row}\n"),
        LINES: media(TEXT, one_record_per_line=f"{json.dumps(record)}\n"),
    }
    lines = media(TEXT, one_record=f"{p}\n")
    success = response(
        "One probability per record, in the order of the records.",
        ref("Probabilities"),
        one_record={"predictions": [p]},
    )
    success["content"] |= {CSV: lines, LINES: lines}
    errors = (*RECORD_ERRORS, *MODEL_ERRORS)
    return Description({200: success}, errors, {"required": True, "content": content})


def schemas(documented: DocumentedModel) -> Json:
    """Return the schemas of the four request formats and of the response."""
    names = list(documented.schema.column_names)
    value: Json = {"type": ["number", "string", "null"]}
    rows = array(array(value), minItems=1)
    records = array(ref("Record"), minItems=1, maxItems=documented.settings.max_records)
    split = with_optional(object_(columns=array({"enum": names}), data=rows), index={})
    by_column = object_(**{name: array(column_schema(name)) for name in names})
    forms = {
        "dataframe_split": split,
        "dataframe_records": records,
        "instances": records,
        "inputs": {"anyOf": [by_column, rows, records]},
    }
    note = object_(
        row={"type": "integer", "minimum": 0},
        missing=array({"enum": names}),
        warnings=array(ref("InputWarning")),
    )
    return {
        "Invocation": {
            "anyOf": [
                with_optional(object_(**{name: form}), params={}) for name, form in forms.items()
            ]
        },
        "Probabilities": with_optional(
            object_(predictions=array({"type": "number", "minimum": 0, "maximum": 1})),
            notes=array(note),
        ),
    }
