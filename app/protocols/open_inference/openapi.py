"""OpenAPI descriptions of the Open Inference Protocol, version 2."""

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
_LOOKUP_ERRORS = (*MODEL_ERRORS, "not_found", "bad_request")
_REQUEST_ERRORS = tuple(dict.fromkeys([*RECORD_ERRORS, *_LOOKUP_ERRORS]))
_DATATYPES = [
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
]


def open_inference_routes(documented: DocumentedModel) -> Mapping[str, Operation]:
    """Return the operations on a model, with or without a version, and on the server."""
    operations = {
        "GET /v2": _query(
            "The name of the server and its extensions.",
            object_(name=_TEXT, version=_TEXT, extensions=array(_TEXT)),
        ),
        "GET /v2/health/live": _query("The process is alive.", object_(live={"const": True})),
        "GET /v2/health/ready": _query(
            "A verified model is loaded.", object_(ready={"const": True}), *MODEL_ERRORS
        ),
        "GET /v2/models": _query("The names of the models.", object_(models=array(_TEXT))),
        **_repository(documented),
    }
    for form in FORMS:
        operations |= _model_operations(documented, form)
    return operations


def open_inference_schemas(documented: DocumentedModel) -> Json:
    """Return the schemas of tensors, requests and responses."""
    tensor = object_(
        name=_TEXT,
        shape=array({"type": "integer", "minimum": -1}),
        datatype={"enum": _DATATYPES},
    )
    scalar = {"type": ["number", "string", "boolean", "null"]}
    data = {"type": "array", "items": {"anyOf": [scalar, array(scalar)]}}
    parameters: Json = {"type": ["object", "null"]}
    text: Json = {"type": ["string", "null"]}
    outputs = array(with_optional(object_(name=_TEXT), parameters=parameters))
    return {
        "TensorMetadata": with_optional(tensor, parameters=parameters),
        "Tensor": with_optional(
            tensor,
            data={**data, "description": "The elements in row-major order, flat or nested."},
            parameters=parameters,
        ),
        "InferRequest": with_optional(
            object_(inputs={**array(ref("Tensor")), "minItems": 1}),
            id=text,
            parameters=parameters,
            outputs={**outputs, "type": ["array", "null"]},
        ),
        "InferResponse": with_optional(
            object_(model_name=_TEXT, outputs=array(ref("Tensor"))),
            model_version=_TEXT,
            id=_TEXT,
            parameters=parameters,
        ),
    }


def _model_operations(documented: DocumentedModel, form: str) -> Mapping[str, Operation]:
    """Return the operations under one form of a model's path."""
    tensors = array(ref("TensorMetadata"))
    metadata = object_(name=_TEXT, platform=_TEXT, inputs=tensors, outputs=tensors)
    return {
        f"GET {form}": _query(
            "The input and output tensors.",
            with_optional(metadata, versions=array(_TEXT), parameters={"type": "object"}),
            *_LOOKUP_ERRORS,
        ),
        f"GET {form}/ready": _query(
            "The model is ready.", object_(name=_TEXT, ready={"const": True}), *_LOOKUP_ERRORS
        ),
        f"POST {form}/infer": _infer(documented),
    }


def _infer(documented: DocumentedModel) -> Operation:
    body = media(ref("InferRequest"), one_tensor_per_column={"inputs": _column_tensors(documented)})
    binary = {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "JSON, followed by the data of its tensors as little-endian bytes. "
            "The header Inference-Header-Content-Length holds the length of the JSON in bytes.",
        }
    }
    outputs = response(
        "The requested outputs as tensors: probabilities and labels.", ref("InferResponse")
    )
    outputs["content"][BINARY] = binary
    return Operation(
        tag=_TAG,
        responses={200: outputs},
        body={JSON: body, BINARY: binary},
        error_codes=_REQUEST_ERRORS,
        error_schema="Error",
    )


def _column_tensors(documented: DocumentedModel) -> list[Json]:
    """Return one tensor per column for a record whose levels are codes."""
    return [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        for name, value in documented.coded.items()
    ]


def _repository(documented: DocumentedModel) -> Mapping[str, Operation]:
    states = ["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]
    entry = with_optional(object_(name=_TEXT, state={"enum": states}), version=_TEXT, reason=_TEXT)
    parameters = with_optional(object_(), version={**_TEXT, "examples": [documented.model.version]})
    only_ready = with_optional(object_(), ready={"type": "boolean"})
    operations = {
        "POST /v2/repository/index": Operation(
            tag=_TAG,
            responses={200: response("The versions in the repository.", array(entry))},
            body={JSON: media(only_ready, all_versions={})},
            body_required=False,
            error_codes=_REQUEST_ERRORS,
            error_schema="Error",
        )
    }
    for verb in ("load", "unload"):
        operations[f"POST /v2/repository/models/{{}}/{verb}"] = Operation(
            tag=_TAG,
            responses={
                200: constant_response(
                    f"The {verb} is complete.", name=documented.model.name, **{verb: True}
                )
            },
            body={JSON: media(with_optional(object_(), parameters=parameters), without_version={})},
            body_required=False,
            error_codes=_REQUEST_ERRORS,
            error_schema="Error",
        )
    return operations


def _query(description: str, schema: Json, *error_codes: str) -> Operation:
    return Operation(
        tag=_TAG,
        responses={200: response(description, schema)},
        error_codes=error_codes,
        error_schema="Error",
    )
