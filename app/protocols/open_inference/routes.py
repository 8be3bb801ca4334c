"""Routes of the Open Inference Protocol (V2) of KServe, Triton and MLServer over HTTP.

A version is given by its number or one of its labels. Every response other than 200 has a JSON body
with a message under ``error``. The routes of the model repository are in
:mod:`app.protocols.open_inference.repository`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np

from app.models import DocumentedModel, LoadedModel
from app.protocols.open_inference.errors import render_error
from app.protocols.open_inference.requests import (
    InferRequest,
    read_request,
    requested_outputs,
    to_columns,
)
from app.protocols.open_inference.tensors import BYTES, Output, encode_output
from app.routing import ForeignProtocol, Json, Router
from app.service import Service
from app.web import (
    AUTHENTICATED,
    PUBLIC,
    ApiError,
    NotReady,
    ServiceRequest,
    ServiceResponse,
    compress_response,
)
from model.inference import Scores
from model.schema import Column

PROBABILITY, LABEL = "probability", "label"
OUTPUTS = (PROBABILITY, LABEL)
JSON_LENGTH = "Inference-Header-Content-Length"
_encode = msgspec.json.Encoder().encode


def example_request(documented: DocumentedModel) -> tuple[str, Json]:
    """Return the path and the body of an example request: one tensor per column."""
    tensors = [
        {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
        for name, value in documented.coded.items()
    ]
    return f"/v2/models/{documented.model.name}/infer", {"inputs": tensors}


PROTOCOL = ForeignProtocol(
    name="Open Inference Protocol (V2)",
    slug="open-inference",
    specifications={
        "Open Inference Protocol": "https://github.com/kserve/open-inference-protocol/blob/main/"
        "specification/protocol/inference_rest.md",
        "binary tensor data": "https://github.com/triton-inference-server/server/blob/main/docs/"
        "protocol/extension_binary_data.md",
        "model repository": "https://github.com/triton-inference-server/server/blob/main/docs/"
        "protocol/extension_model_repository.md",
    },
    differences="A record is one tensor per column, or one matrix with the columns in schema "
    "order. A version may also be given by its label. Without a loaded model the service is not "
    "ready (503). Invalid requests are always 400, and errors list every problem by row and "
    "column. Statistics, configurations and shared memory are not supported.",
    example=example_request,
)

router = Router(protocol=PROTOCOL, render_error=render_error)
MODEL_PATHS = ("/v2/models/<name>", "/v2/models/<name>/versions/<version>")


@router.route("GET", "/v2", scope=AUTHENTICATED)
def server(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the server's name, its extensions and the version of the protocol."""
    extensions = ["binary_tensor_data", "model_repository"]
    content = {"name": "tabular-prediction-service", "version": "2", "extensions": extensions}
    return ServiceResponse(_encode(content))


@router.route("GET", "/v2/health/live", scope=PUBLIC)
def live(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Report that the process is alive."""
    return ServiceResponse(_encode({"live": True}))


@router.route("GET", "/v2/health/ready", scope=PUBLIC)
def ready(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Report whether a verified model is loaded; 503 if not."""
    with _not_ready_as_false():
        service.models.get()
    return ServiceResponse(_encode({"ready": True}))


@router.route("GET", "/v2/models", scope=AUTHENTICATED)
def model_names(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the names of the models; there is one."""
    names = {model.name for model in service.models.snapshot.loaded.values()}
    return ServiceResponse(_encode({"models": sorted(names)}))


@router.route("GET", *MODEL_PATHS, scope=AUTHENTICATED)
def metadata(
    service: Service, request: ServiceRequest, name: str, version: str = ""
) -> ServiceResponse:
    """Return the inputs, the outputs and the loaded versions of a model."""
    model = request.bind_model(_find_model(service, name, version))
    versions = [loaded.version for loaded in service.models.snapshot.loaded.values()]
    return ServiceResponse(_encode(_model_metadata(model, versions)))


@router.route("GET", *[f"{path}/ready" for path in MODEL_PATHS], scope=PUBLIC)
def model_ready(
    service: Service, request: ServiceRequest, name: str, version: str = ""
) -> ServiceResponse:
    """Report whether the model, or the version, is loaded."""
    with _not_ready_as_false():
        _find_model(service, name, version)
    return ServiceResponse(_encode({"name": name, "ready": True}))


@router.route("POST", *[f"{path}/infer" for path in MODEL_PATHS], scope="predict")
def infer(
    service: Service, request: ServiceRequest, name: str, version: str = ""
) -> ServiceResponse:
    """Return a probability and a label per record, for tensors in JSON or binary form."""
    model = request.bind_model(_find_model(service, name, version))
    columns = model.schema.column_names
    infer_request, binary = read_request(request.body(), request.header(JSON_LENGTH), len(columns))
    outputs = requested_outputs(infer_request, OUTPUTS)
    values = model.validate_columns(to_columns(infer_request, binary, columns), "/inputs")
    response = _response(model, model.score(values), infer_request, outputs)
    return compress_response(request, response)


def _find_model(service: Service, name: str, version: str) -> LoadedModel:
    """Return the model of a name; a version is a number or a label."""
    is_label = version and not version.isdecimal()
    model = service.models.get(label=version) if is_label else service.models.get(version)
    if model.name != name:
        raise ApiError("not_found", f"no model has this name; the model is {model.name}")
    return model


@contextmanager
def _not_ready_as_false() -> Iterator[None]:
    """Add ``"ready": false`` to the error of a block that needs a loaded model."""
    try:
        yield
    except NotReady as error:
        raise NotReady(str(error), ready=False) from None


def _response(
    model: LoadedModel,
    scores: Scores,
    infer_request: InferRequest,
    requested: list[tuple[str, bool]],
) -> ServiceResponse:
    """Return the requested outputs; each is requested with a name and whether it is binary."""
    content: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if infer_request.id:
        content["id"] = infer_request.id
    outputs = [
        encode_output(_output(model, name, scores.probabilities), binary=binary)
        for name, binary in requested
    ]
    body = _encode({**content, "outputs": [output for output, _ in outputs]})
    if not any(binary for _, binary in requested):
        return ServiceResponse(body)
    headers = ((JSON_LENGTH, str(len(body))),)
    data = b"".join(data for _, data in outputs)
    return ServiceResponse(body + data, media_type="application/octet-stream", headers=headers)


def _output(model: LoadedModel, name: str, probabilities: np.ndarray) -> Output:
    if name == PROBABILITY:
        return Output(PROBABILITY, "FP32", probabilities)
    outcome = model.schema.outcome
    positive = probabilities.astype(np.float64) >= model.manifest.threshold
    labels = (outcome.negative, outcome.positive)
    return Output(LABEL, BYTES, list(map(labels.__getitem__, positive.tolist())))


def _model_metadata(model: LoadedModel, versions: list[str]) -> dict[str, Any]:
    outcome, n_columns = model.schema.outcome, len(model.schema.columns)
    return {
        "name": model.name,
        "versions": sorted(versions, key=lambda version: (len(version), version)),
        "platform": "onnx_onnxv1",
        "inputs": [
            {
                "name": column.name,
                "datatype": "FP64",
                "shape": [-1, 1],
                "parameters": _column_parameters(column),
            }
            for column in model.schema.columns
        ],
        "outputs": [
            {"name": PROBABILITY, "datatype": "FP32", "shape": [-1, 1]},
            {"name": LABEL, "datatype": BYTES, "shape": [-1, 1]},
        ],
        "parameters": {
            "threshold": model.manifest.threshold,
            "outcome": outcome.rule,
            "labels": f"{outcome.negative}, {outcome.positive}",
            "also_taken": f"one input of another name, with shape [-1, {n_columns}] and the "
            "columns in this order; levels as BYTES; NaN, null and an empty string for missing",
        },
    }


def _column_parameters(column: Column) -> dict[str, Any]:
    """Return the properties of a column. The protocol allows only strings, numbers and booleans."""
    parameters: dict[str, Any] = {"title": column.title, "required": column.required}
    if column.kind == "number":
        parameters |= {"minimum": column.minimum, "maximum": column.maximum, "unit": column.unit}
    else:
        parameters["allowed"] = ", ".join(map(str, column.allowed))
    return parameters
