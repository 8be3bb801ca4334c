"""The routes of the Open Inference Protocol, version 2."""

from __future__ import annotations

from app.models import DocumentedModel
from app.openapi.objects import (
    JSON,
    MODEL_ERRORS,
    array,
    constant_response,
    media,
    object_,
    ref,
    response,
    with_optional,
)
from app.protocols.open_inference import repository, routes
from app.routing import Json
from tests.protocol_descriptions.description import (
    LOOKUP_ERRORS,
    REQUEST_ERRORS,
    TEXT,
    Description,
    Descriptions,
    optional_body,
    query,
)

BINARY = "application/octet-stream"
DATATYPES = [
    *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES"),
]
STATES = ["UNKNOWN", "READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


def descriptions(documented: DocumentedModel) -> Descriptions:
    """Return the descriptions of the handlers."""
    tensors = array(ref("TensorMetadata"))
    metadata = object_(name=TEXT, platform=TEXT, inputs=tensors, outputs=tensors)
    entry = with_optional(object_(name=TEXT, state={"enum": STATES}), version=TEXT, reason=TEXT)
    only_ready = with_optional(object_(), ready={"type": "boolean"})
    return {
        routes.server: query(
            "The name of the server and its extensions.",
            object_(name=TEXT, version=TEXT, extensions=array(TEXT)),
        ),
        routes.live: query("The process is alive.", object_(live={"const": True})),
        routes.ready: query(
            "A verified model is loaded.", object_(ready={"const": True}), *MODEL_ERRORS
        ),
        routes.model_names: query("The names of the models.", object_(models=array(TEXT))),
        routes.metadata: query(
            "The input and output tensors.",
            with_optional(metadata, versions=array(TEXT), parameters={"type": "object"}),
            *LOOKUP_ERRORS,
        ),
        routes.model_ready: query(
            "The model is ready.", object_(name=TEXT, ready={"const": True}), *LOOKUP_ERRORS
        ),
        routes.infer: infer(documented),
        repository.index: Description(
            {200: response("The versions in the repository.", array(entry))},
            REQUEST_ERRORS,
            optional_body(media(only_ready, all_versions={})),
        ),
        repository.load: load_or_unload(documented, "load"),
        repository.unload: load_or_unload(documented, "unload"),
    }


def infer(documented: DocumentedModel) -> Description:
    """Return the description of a prediction."""
    _, example = routes.PROTOCOL.example(documented)
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
    content = {JSON: media(ref("InferRequest"), one_tensor_per_column=example), BINARY: binary}
    return Description({200: outputs}, REQUEST_ERRORS, {"required": True, "content": content})


def load_or_unload(documented: DocumentedModel, verb: str) -> Description:
    """Return the description of loading or unloading."""
    model = documented.model
    parameters = with_optional(object_(), version={**TEXT, "examples": [model.version]})
    return Description(
        {200: constant_response(f"The {verb} is complete.", name=model.name, **{verb: True})},
        REQUEST_ERRORS,
        optional_body(media(with_optional(object_(), parameters=parameters), without_version={})),
    )


def schemas(documented: DocumentedModel) -> Json:
    """Return the schemas of tensors, requests and responses."""
    tensor = object_(
        name=TEXT,
        shape=array({"type": "integer", "minimum": -1}),
        datatype={"enum": DATATYPES},
    )
    scalar = {"type": ["number", "string", "boolean", "null"]}
    data = array({"anyOf": [scalar, array(scalar)]})
    parameters: Json = {"type": ["object", "null"]}
    text: Json = {"type": ["string", "null"]}
    outputs = array(with_optional(object_(name=TEXT), parameters=parameters))
    return {
        "TensorMetadata": with_optional(tensor, parameters=parameters),
        "Tensor": with_optional(
            tensor,
            data={**data, "description": "The elements in row-major order, flat or nested."},
            parameters=parameters,
        ),
        "InferRequest": with_optional(
            object_(inputs=array(ref("Tensor"), minItems=1)),
            id=text,
            parameters=parameters,
            outputs={**outputs, "type": ["array", "null"]},
        ),
        "InferResponse": with_optional(
            object_(model_name=TEXT, outputs=array(ref("Tensor"))),
            model_version=TEXT,
            id=TEXT,
            parameters=parameters,
        ),
    }
