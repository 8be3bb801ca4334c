"""Routes of the Open Inference Protocol (V2) of KServe, Triton and MLServer over HTTP.

    GET  /v2                                  server metadata
    GET  /v2/health/live, /v2/health/ready    liveness, and readiness of the model
    GET  /v2/models                           the names of the models
    GET  /v2/models/NAME[/versions/V]         inputs and outputs
    GET  /v2/models/NAME[/versions/V]/ready   readiness of one version
    POST /v2/models/NAME[/versions/V]/infer   probabilities and labels
    POST /v2/repository/…                     see :mod:`app.protocols.open_inference.repository`

V is the number of a version or one of its labels. Every response other than 200 has a JSON body
with a message under ``error``.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from app.models import LoadedModel
from app.protocols.open_inference.repository import register_repository
from app.protocols.open_inference.requests import (
    InferRequest,
    read_request,
    requested_outputs,
    to_columns,
)
from app.protocols.open_inference.tensors import BYTES, Output, encode_output
from app.service import Service
from app.web import (
    AUTHENTICATED,
    PUBLIC,
    ApiError,
    ErrorResponse,
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


def register_open_inference(service: Service) -> None:
    """Add the routes of the Open Inference Protocol."""
    models = service.models

    def find_model(name: str, version: str) -> LoadedModel:
        is_label = version and not version.isdecimal()
        model = models.get(label=version) if is_label else models.get(version)
        if model.name != name:
            raise ApiError("not_found", f"no model has this name; the model is {model.name}")
        return model

    def server(request: ServiceRequest) -> ServiceResponse:
        """Return the server metadata. The version is the protocol's, not that of the software."""
        extensions = ["binary_tensor_data", "model_repository"]
        content = {"name": "tabular-prediction-service", "version": "2", "extensions": extensions}
        return ServiceResponse(_encode(content))

    def live(request: ServiceRequest) -> ServiceResponse:
        """Liveness: 200 if the process responds."""
        return ServiceResponse(_encode({"live": True}))

    def ready(request: ServiceRequest) -> ServiceResponse:
        """Readiness: 200 if a verified model is loaded, otherwise 503."""
        _check_ready(models.get)
        return ServiceResponse(_encode({"ready": True}))

    def listed(request: ServiceRequest) -> ServiceResponse:
        """List the names of the models."""
        names = {model.name for model in models.snapshot.loaded.values()}
        return ServiceResponse(_encode({"models": sorted(names)}))

    def metadata(request: ServiceRequest, name: str, version: str = "") -> ServiceResponse:
        """Return the inputs, the outputs and the versions of a model."""
        model = request.bind_model(find_model(name, version))
        versions = [loaded.version for loaded in models.snapshot.loaded.values()]
        return ServiceResponse(_encode(_model_metadata(model, versions)))

    def model_ready(request: ServiceRequest, name: str, version: str = "") -> ServiceResponse:
        """Readiness of one version: 200 if it is loaded."""
        _check_ready(lambda: find_model(name, version))
        return ServiceResponse(_encode({"name": name, "ready": True}))

    def infer(request: ServiceRequest, name: str, version: str = "") -> ServiceResponse:
        """Predict a probability and a label for each record."""
        model = request.bind_model(find_model(name, version))
        columns = model.schema.column_names
        infer_request, binary = read_request(
            request.body(), request.header(JSON_LENGTH), len(columns)
        )
        outputs = requested_outputs(infer_request, OUTPUTS)
        values = model.validate_columns(to_columns(infer_request, binary, columns), "/inputs")
        return compress_response(
            request, _response(model, model.score(values), infer_request, outputs)
        )

    def add(method: str, path: str, handler: Any, scope: str) -> None:
        service.add_route(method, path, handler, scope, render_error=render_error)

    add("GET", "/v2", server, AUTHENTICATED)
    add("GET", "/v2/health/live", live, PUBLIC)
    add("GET", "/v2/health/ready", ready, PUBLIC)
    add("GET", "/v2/models", listed, AUTHENTICATED)
    for path in ("/v2/models/<name>", "/v2/models/<name>/versions/<version>"):
        add("GET", path, metadata, AUTHENTICATED)
        add("GET", path + "/ready", model_ready, PUBLIC)
        add("POST", path + "/infer", infer, "predict")
    register_repository(service, render_error)


def render_error(error_response: ErrorResponse) -> ServiceResponse:
    """Return an error in the protocol's format. The status of invalid records is 400.

    The problems have no JSON pointers, because binary tensors are not part of the JSON. They have
    rows and columns.
    """
    extensions = dict(error_response.extensions)
    if "errors" in extensions:
        extensions["errors"] = [
            {key: value for key, value in problem.items() if key != "pointer"}
            for problem in extensions["errors"]
        ]
    status = 400 if error_response.status == 422 else error_response.status
    error_response = msgspec.structs.replace(error_response, status=status, extensions=extensions)
    return ServiceResponse(
        _encode(error_response.details()), status, headers=error_response.headers
    )


def _check_ready(get: Any) -> None:
    try:
        get()
    except NotReady as error:
        raise ApiError("not_ready", str(error), ready=False) from None


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
