"""The descriptions of MLflow's scoring server, which SageMaker's hosting takes for its own."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.openapi import (
    JSON,
    NEEDS_MODEL,
    READS_RECORDS,
    Json,
    Operation,
    Subject,
    a_list,
    an_object,
    answer,
    media,
    optionally,
    ref,
)

CSV, LINES = "text/csv", "application/jsonlines"
_TAG = "MLflow and SageMaker"
_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 1}


def mlflow_routes(subject: Subject) -> Mapping[str, Operation]:
    """Health, version, predictions, and what batch transform asks first."""
    health = answer("A verified model is loaded.", {"type": "object"}, it_is={})
    version = answer("The version, bare.", _TEXT, "text/plain", now=subject.model.version)
    limits = an_object(
        MaxConcurrentTransforms=_COUNT,
        BatchStrategy={"enum": ["MULTI_RECORD", "SINGLE_RECORD"]},
        MaxPayloadInMB=_COUNT,
    )
    found = {
        "GET /ping": health,
        "GET /health": health,
        "GET /version": version,
        "GET /execution-parameters": answer("What one request may hold.", limits),
    }
    return {
        route: Operation(
            tag=_TAG, answers={200: told}, refusals=NEEDS_MODEL, refusal_schema="MlflowError"
        )
        for route, told in found.items()
    } | {"POST /invocations": _invocations(subject)}


def mlflow_schemas(subject: Subject) -> Json:
    """The four forms of a body."""
    names = list(subject.schema.column_names)
    properties = {
        name: a_list({"$ref": f"#/components/schemas/Record/properties/{name}"}) for name in names
    }
    value: Json = {"type": ["number", "string", "null"]}
    rows = {**a_list(a_list(value)), "minItems": 1}
    records = {**a_list(ref("Record")), "minItems": 1, "maxItems": subject.settings.max_records}
    split = optionally(an_object(columns=a_list({"enum": names}), data=rows), index={})
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
                optionally(an_object(**{name: form}), params={}) for name, form in forms.items()
            ]
        },
        "Probabilities": optionally(
            an_object(predictions=a_list({"type": "number", "minimum": 0, "maximum": 1})),
            remarks=a_list(
                an_object(
                    row={"type": "integer", "minimum": 0},
                    missing=a_list({"enum": names}),
                    warnings=a_list(ref("InputWarning")),
                )
            ),
        ),
        "MlflowError": an_object(error_code=_TEXT, message=_TEXT),
    }


def _invocations(subject: Subject) -> Operation:
    record, coded = subject.record, subject.coded
    split = {"columns": list(coded), "data": [list(coded.values())]}
    head, row = ",".join(coded), ",".join(str(value) for value in coded.values())
    body = media(
        ref("Invocation"),
        dataframe_split={"dataframe_split": split},
        dataframe_records={"dataframe_records": [record]},
        instances={"instances": [record]},
        inputs={"inputs": {name: [value] for name, value in coded.items()}},
    )
    return Operation(
        tag=_TAG,
        answers={200: _probabilities(subject)},
        body={
            JSON: body,
            CSV: media(_TEXT, a_table=f"{head}\n{row}\n"),
            LINES: media(_TEXT, one_record_a_line=f"{json.dumps(record)}\n"),
        },
        refusals=(*READS_RECORDS, *NEEDS_MODEL),
        refusal_schema="MlflowError",
        note="What comes back is of the kind that Accept names; JSON lines are answered by lines.",
    )


def _probabilities(subject: Subject) -> Json:
    (p,) = subject.probabilities(subject.record)
    told = answer(
        "The probabilities, in order.", ref("Probabilities"), of_one_record={"predictions": [p]}
    )
    lines = media(_TEXT, of_one_record=f"{p}\n")
    return {**told, "content": {**told["content"], CSV: lines, LINES: lines}}
