"""The descriptions of the Open Inference Protocol, version 2."""

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
    constant_response,
    media,
    object_,
    ref,
    response,
    with_optional,
)

FORMS = ("/v2/models/{}", "/v2/models/{}/versions/{}")
BINARY = "application/octet-stream"
_TAG = "Open Inference"
_TEXT: Json = {"type": "string"}
_FINDS = (*MODEL_ERRORS, "not_found", "bad_request")
_READS = tuple(dict.fromkeys([*RECORD_ERRORS, *_FINDS]))
_DATATYPES = [
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
]


def open_inference_routes(documented: DocumentedModel) -> Mapping[str, Operation]:
    """With and without versions, health and the repository."""
    found = {
        "GET /v2": _asks(
            "The server and its extensions.",
            object_(name=_TEXT, version=_TEXT, extensions=array(_TEXT)),
        ),
        "GET /v2/health/live": _asks("The process is alive.", object_(live={"const": True})),
        "GET /v2/health/ready": _asks(
            "Every model is ready.", object_(ready={"const": True}), *MODEL_ERRORS
        ),
        "GET /v2/models": _asks("The names of the models.", object_(models=array(_TEXT))),
        **_repository(documented),
    }
    for form in FORMS:
        found |= _of_form(documented, form)
    return found


def open_inference_schemas(documented: DocumentedModel) -> Json:
    """Tensors, requests and answers."""
    tensor = object_(
        name=_TEXT,
        shape=array({"type": "integer", "minimum": -1}),
        datatype={"enum": _DATATYPES},
    )
    scalar = {"type": ["number", "string", "boolean", "null"]}
    data = {"type": "array", "items": {"anyOf": [scalar, array(scalar)]}}
    parameters: Json = {"type": ["object", "null"]}
    word: Json = {"type": ["string", "null"]}
    chosen = array(with_optional(object_(name=_TEXT), parameters=parameters))
    return {
        "TensorMetadata": with_optional(tensor, parameters=parameters),
        "Tensor": with_optional(
            tensor,
            data={**data, "description": "Row-major, flat or nested."},
            parameters=parameters,
        ),
        "InferRequest": with_optional(
            object_(inputs={**array(ref("Tensor")), "minItems": 1}),
            id=word,
            parameters=parameters,
            outputs={**chosen, "type": ["array", "null"]},
        ),
        "InferResponse": with_optional(
            object_(model_name=_TEXT, outputs=array(ref("Tensor"))),
            model_version=_TEXT,
            id=_TEXT,
            parameters=parameters,
        ),
    }


def _of_form(documented: DocumentedModel, form: str) -> Mapping[str, Operation]:
    tensors = array(ref("TensorMetadata"))
    metadata = object_(name=_TEXT, platform=_TEXT, inputs=tensors, outputs=tensors)
    return {
        f"GET {form}": _asks(
            "The input and output tensors.",
            with_optional(metadata, versions=array(_TEXT), parameters={"type": "object"}),
            *_FINDS,
        ),
        f"GET {form}/ready": _asks(
            "The model is ready.", object_(name=_TEXT, ready={"const": True}), *_FINDS
        ),
        f"POST {form}/infer": _infer(documented),
    }


def _infer(documented: DocumentedModel) -> Operation:
    body = media(ref("InferRequest"), one_tensor_a_column={"inputs": _by_column(documented)})
    binary = {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON, then the data of its tensors as little-endian bytes; the "
            "header Inference-Header-Content-Length says how many bytes are JSON.",
        }
    }
    outputs = response("The probabilities, as a tensor.", ref("InferResponse"))
    outputs["content"][BINARY] = binary
    return Operation(
        tag=_TAG,
        responses={200: outputs},
        body={JSON: body, BINARY: binary},
        error_codes=_READS,
        error_schema="Error",
    )


def _by_column(documented: DocumentedModel) -> list[Json]:
    """A record in codes as one tensor a column."""
    return [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        for name, value in documented.coded.items()
    ]


def _repository(documented: DocumentedModel) -> Mapping[str, Operation]:
    model = object_(name=_TEXT, state={"enum": ["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]})  # fmt: skip
    index = with_optional(model, version=_TEXT, reason=_TEXT)
    chosen = with_optional(object_(), version={**_TEXT, "examples": [documented.model.version]})
    only_ready = with_optional(object_(), ready={"type": "boolean"})
    found = {
        "POST /v2/repository/index": Operation(
            tag=_TAG,
            responses={200: response("The versions in the repository.", array(index))},
            body={JSON: media(only_ready, all_of_them={})},
            body_required=False,
            error_codes=_READS,
            error_schema="Error",
        )
    }
    for verb in ("load", "unload"):
        found[f"POST /v2/repository/models/{{}}/{verb}"] = Operation(
            tag=_TAG,
            responses={200: constant_response("Done.", name=documented.model.name, **{verb: True})},
            body={JSON: media(with_optional(object_(), parameters=chosen), everything={})},
            body_required=False,
            error_codes=_READS,
            error_schema="Error",
        )
    return found


def _asks(description: str, schema: Json, *error_codes: str) -> Operation:
    return Operation(
        tag=_TAG,
        responses={200: response(description, schema)},
        error_codes=error_codes,
        error_schema="Error",
    )
