"""The descriptions of the Open Inference Protocol, version 2."""

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
    constants,
    media,
    optionally,
    ref,
)

FORMS = ("/v2/models/{}", "/v2/models/{}/versions/{}")
BINARY = "application/octet-stream"
_TAG = "Open Inference"
_TEXT: Json = {"type": "string"}
_FINDS = (*NEEDS_MODEL, "not_found", "bad_request")
_READS = tuple(dict.fromkeys([*READS_RECORDS, *_FINDS]))
_DATATYPES = [
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
]


def open_inference_routes(subject: Subject) -> Mapping[str, Operation]:
    """With and without versions, health and the repository."""
    found = {
        "GET /v2": _asks(
            "The server and the extensions that it knows.",
            an_object(name=_TEXT, version=_TEXT, extensions=a_list(_TEXT)),
        ),
        "GET /v2/health/live": _asks("It answers.", an_object(live={"const": True})),
        "GET /v2/health/ready": _asks(
            "Every model is ready.", an_object(ready={"const": True}), *NEEDS_MODEL
        ),
        "GET /v2/models": _asks("The names of the models.", an_object(models=a_list(_TEXT))),
        **_repository(subject),
    }
    for form in FORMS:
        found |= _of_form(subject, form)
    return found


def open_inference_schemas(subject: Subject) -> Json:
    """Tensors, requests and answers."""
    tensor = an_object(
        name=_TEXT,
        shape=a_list({"type": "integer", "minimum": -1}),
        datatype={"enum": _DATATYPES},
    )
    scalar = {"type": ["number", "string", "boolean", "null"]}
    data = {"type": "array", "items": {"anyOf": [scalar, a_list(scalar)]}}
    parameters: Json = {"type": ["object", "null"]}
    word: Json = {"type": ["string", "null"]}
    chosen = a_list(optionally(an_object(name=_TEXT), parameters=parameters))
    return {
        "TensorMetadata": optionally(tensor, parameters=parameters),
        "Tensor": optionally(
            tensor,
            data={**data, "description": "Row-major, flat or nested."},
            parameters=parameters,
        ),
        "InferRequest": optionally(
            an_object(inputs={**a_list(ref("Tensor")), "minItems": 1}),
            id=word,
            parameters=parameters,
            outputs={**chosen, "type": ["array", "null"]},
        ),
        "InferAnswer": optionally(
            an_object(model_name=_TEXT, outputs=a_list(ref("Tensor"))),
            model_version=_TEXT,
            id=_TEXT,
            parameters=parameters,
        ),
    }


def _of_form(subject: Subject, form: str) -> Mapping[str, Operation]:
    tensors = a_list(ref("TensorMetadata"))
    metadata = an_object(name=_TEXT, platform=_TEXT, inputs=tensors, outputs=tensors)
    return {
        f"GET {form}": _asks(
            "The tensors that go in and come out.",
            optionally(metadata, versions=a_list(_TEXT), parameters={"type": "object"}),
            *_FINDS,
        ),
        f"GET {form}/ready": _asks(
            "It is ready.", an_object(name=_TEXT, ready={"const": True}), *_FINDS
        ),
        f"POST {form}/infer": _infer(subject),
    }


def _infer(subject: Subject) -> Operation:
    body = media(ref("InferRequest"), one_tensor_a_column={"inputs": _by_column(subject)})
    binary = {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON, then the data of its tensors as little-endian bytes; the "
            "header Inference-Header-Content-Length says how many bytes are JSON.",
        }
    }
    outputs = answer("The probabilities, as a tensor.", ref("InferAnswer"))
    outputs["content"][BINARY] = binary
    return Operation(
        tag=_TAG,
        answers={200: outputs},
        body={JSON: body, BINARY: binary},
        refusals=_READS,
        refusal_schema="Error",
    )


def _by_column(subject: Subject) -> list[Json]:
    """A record in codes as one tensor a column."""
    return [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        for name, value in subject.coded.items()
    ]


def _repository(subject: Subject) -> Mapping[str, Operation]:
    model = an_object(name=_TEXT, state={"enum": ["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]})  # fmt: skip
    index = optionally(model, version=_TEXT, reason=_TEXT)
    chosen = optionally(an_object(), version={**_TEXT, "examples": [subject.model.version]})
    only_ready = optionally(an_object(), ready={"type": "boolean"})
    found = {
        "POST /v2/repository/index": Operation(
            tag=_TAG,
            answers={200: answer("What is in the repository.", a_list(index))},
            body={JSON: media(only_ready, all_of_them={})},
            body_required=False,
            refusals=_READS,
            refusal_schema="Error",
        )
    }
    for verb in ("load", "unload"):
        found[f"POST /v2/repository/models/{{}}/{verb}"] = Operation(
            tag=_TAG,
            answers={200: constants("Done.", name=subject.model.name, **{verb: True})},
            body={JSON: media(optionally(an_object(), parameters=chosen), everything={})},
            body_required=False,
            refusals=_READS,
            refusal_schema="Error",
        )
    return found


def _asks(description: str, schema: Json, *refusals: str) -> Operation:
    return Operation(
        tag=_TAG,
        answers={200: answer(description, schema)},
        refusals=refusals,
        refusal_schema="Error",
    )
