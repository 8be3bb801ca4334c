"""The descriptions of TensorFlow Serving's REST API and of KServe's V1 on the same paths."""

from __future__ import annotations

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
from app.web import CONTENT_TYPE

FORMS = ("/v1/models/{}", "/v1/models/{}/versions/{}", "/v1/models/{}/labels/{}")
_TAG = "TensorFlow Serving"
_FINDS = (*NEEDS_MODEL, "not_found", "bad_request")
_READS = tuple(dict.fromkeys([*READS_RECORDS, *_FINDS]))


def tfserving_routes(subject: Subject) -> Mapping[str, Operation]:
    """By versions, by labels and without either."""
    found: dict[str, Operation] = {}
    for form in FORMS:
        found |= _of_form(subject, form)
    model = subject.model
    return found | {
        "GET /v1/models": Operation(
            tag=_TAG,
            answers={
                200: answer(
                    "The names of the models.",
                    an_object(models=a_list({"type": "string"})),
                    this_one={"models": [model.name]},
                )
            },
            refusals=NEEDS_MODEL,
            refusal_schema="Error",
        ),
        "GET /monitoring/prometheus/metrics": Operation(
            tag=_TAG,
            answers={
                200: answer(
                    "The text format of Prometheus.",
                    {"type": "string"},
                    CONTENT_TYPE.partition(";")[0],
                )
            },
            refusal_schema="Error",
        ),
    }


def _of_form(subject: Subject, form: str) -> dict[str, Operation]:
    record, coded = subject.record, subject.coded
    outcome, columns = subject.schema.outcome, subject.schema.column_names
    p, q = subject.probabilities(record, coded)
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
            answers={200: answer(description, schema, **answered)},
            body={JSON: body},
            refusals=_READS,
            refusal_schema="Error",
        )

    predict = media(tensors, rows=rows, columns={"inputs": columnar})
    return {
        f"POST {form}:predict": verb(
            "One list a record, with its probability.",
            {"anyOf": [an_object(predictions=a_list(alone)), an_object(outputs=a_list(alone))]},
            predict,
            of_rows={"predictions": [[p], [q]]},
            of_columns={"outputs": [[p], [q]]},
        ),
        f"POST {form}:classify": verb(
            "Both labels of the outcome with their probabilities, for each example.",
            an_object(results=a_list({**a_list(pair), "minItems": 2})),
            examples,
            of_two={"results": [_both(subject, p), _both(subject, q)]},
        ),
        f"POST {form}:regress": verb(
            "The probabilities.",
            an_object(results=a_list(number)),
            examples,
            of_two={"results": [p, q]},
        ),
        f"POST {form}:explain": _explain(subject, tensors),
        f"POST {form}:{{}}": Operation(
            tag=_TAG, answers={}, refusals=("bad_request",), refusal_schema="Error"
        ),
        f"GET {form}": Operation(
            tag=_TAG,
            answers={200: _status(subject)},
            refusals=(*_FINDS, "method_not_allowed"),
            refusal_schema="Error",
        ),
        f"GET {form}/metadata": Operation(
            tag=_TAG,
            answers={200: _metadata()},
            refusals=(*_FINDS, "method_not_allowed"),
            refusal_schema="Error",
        ),
    }


def _explain(subject: Subject, tensors: Json) -> Operation:
    told = answer(
        "What each column contributed to each answer.",
        an_object(explanations=a_list(ref("Explanation"))),
    )
    return Operation(
        tag=_TAG,
        answers={} if subject.explained(subject.record) is None else {200: told},
        body={JSON: media(tensors, rows={"instances": [subject.record]})},
        refusals=(*_READS, "not_explainable"),
        refusal_schema="Error",
    )


def _both(subject: Subject, probability: float) -> list[list[str | float]]:
    outcome = subject.schema.outcome
    return [[outcome.negative, 1 - probability], [outcome.positive, probability]]


def _status(subject: Subject) -> Json:
    version = an_object(
        version={"type": "string", "pattern": "^[0-9]+$"},
        state={"enum": ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
        status=an_object(error_code={"type": "string"}, error_message={"type": "string"}),
    )
    now = {
        "version": subject.model.version,
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    return answer(
        "The versions and their states.",
        an_object(model_version_status=a_list(version)),
        available={"model_version_status": [now]},
    )


def _metadata() -> Json:
    spec = an_object(
        name={"type": "string"}, signature_name={"type": "string"}, version={"type": "string"}
    )
    signatures = an_object(signature_def=an_object(signature_def={"type": "object"}))
    return answer(
        "The signature: one input a column, one output.",
        an_object(model_spec=spec, metadata=signatures),
    )


def tfserving_schemas(subject: Subject) -> Json:
    """The bodies of requests."""
    name: Json = {"enum": ["", "serving_default"]}
    record = ref("Record")
    properties = {column: _of_column(column) for column in subject.schema.column_names}
    columns = {
        "type": "object",
        "required": list(properties),
        "properties": {column: a_list(schema) for column, schema in properties.items()},
    }
    several = {**a_list(record), "minItems": 1, "maxItems": subject.settings.max_records}
    return {
        "TensorRows": optionally(an_object(instances=several), signature_name=name),
        "TensorColumns": optionally(an_object(inputs=columns), signature_name=name),
        "TensorExamples": optionally(
            an_object(examples={**several, "items": {"type": "object", "properties": properties}}),
            signature_name={"type": "string"},
            context={"type": "object", "properties": properties},
        ),
    }


def _of_column(name: str) -> Json:
    return {"$ref": f"#/components/schemas/Record/properties/{name}"}
