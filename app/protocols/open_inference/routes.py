"""The Open Inference Protocol (V2), as KServe, Triton and MLServer speak it over HTTP.

    GET  /v2                                  what the server offers
    GET  /v2/health/live, /v2/health/ready    whether it answers, and has a model to answer with
    GET  /v2/models                           the models, of which there is one
    GET  /v2/models/NAME[/versions/V]         its inputs and outputs
    GET  /v2/models/NAME[/versions/V]/ready   whether it is loaded
    POST /v2/models/NAME[/versions/V]/infer   probabilities and labels
    POST /v2/repository/…                     see :mod:`app.protocols.open_inference.repository`

V is the number of a version or one of its labels. Every answer that is not 200 has a JSON body with
a sentence under ``error``.
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
    """Add the routes of the protocol."""
    models = service.models

    def model_of(name: str, version: str) -> LoadedModel:
        numbered = not version or version.isdecimal()
        model = models.get(version) if numbered else models.get(label=version)
        if model.name != name:
            raise ApiError("not_found", f"there is no model of this name; there is {model.name}")
        return model

    def server(request: ServiceRequest) -> ServiceResponse:
        """Return the server metadata. The version is the protocol's, not that of the software."""
        extensions = ["binary_tensor_data", "model_repository"]
        told = {"name": "tabular-prediction-service", "version": "2", "extensions": extensions}
        return ServiceResponse(_encode(told))

    def live(request: ServiceRequest) -> ServiceResponse:
        """Liveness: 200 if the process responds."""
        return ServiceResponse(_encode({"live": True}))

    def ready(request: ServiceRequest) -> ServiceResponse:
        """Readiness: 200 if a verified model is loaded, otherwise 503."""
        _require_ready(models.get)
        return ServiceResponse(_encode({"ready": True}))

    def listed(request: ServiceRequest) -> ServiceResponse:
        """List the names of the models."""
        names = {model.name for model in models.snapshot.loaded.values()}
        return ServiceResponse(_encode({"models": sorted(names)}))

    def metadata(request: ServiceRequest, name: str, version: str = "") -> ServiceResponse:
        """Return the inputs, the outputs and the versions of a model."""
        model = request.bind_model(model_of(name, version))
        versions = [loaded.version for loaded in models.snapshot.loaded.values()]
        return ServiceResponse(_encode(_model_metadata(model, versions)))

    def model_ready(request: ServiceRequest, name: str, version: str = "") -> ServiceResponse:
        """Readiness of one version: 200 if it is loaded."""
        _require_ready(lambda: model_of(name, version))
        return ServiceResponse(_encode({"name": name, "ready": True}))

    def infer(request: ServiceRequest, name: str, version: str = "") -> ServiceResponse:
        """Predict a probability and a label for each record."""
        model = request.bind_model(model_of(name, version))
        columns = model.schema.column_names
        infer_request, binary = read_request(
            request.body(), request.header(JSON_LENGTH), len(columns)
        )
        wanted = requested_outputs(infer_request, OUTPUTS)
        values = model.validate_columns(to_columns(infer_request, binary, columns), "/inputs")
        return compress_response(
            request, _response(model, model.score(values), infer_request, wanted)
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
    """400 for whatever is not valid, and JSON as its clients look for it.

    A pointer into the body would lead nowhere where the tensors lie behind the JSON; rows and
    columns are named in any case.
    """
    extensions = dict(error_response.extensions)
    if "errors" in extensions:
        extensions["errors"] = [
            {name: told for name, told in problem.items() if name != "pointer"}
            for problem in extensions["errors"]
        ]
    status = 400 if error_response.status == 422 else error_response.status
    error_response = msgspec.structs.replace(error_response, status=status, extensions=extensions)
    return ServiceResponse(
        _encode(error_response.details()), status, headers=error_response.headers
    )


def _require_ready(get: Any) -> None:
    try:
        get()
    except NotReady as error:
        raise ApiError("not_ready", str(error), ready=False) from None


def _response(
    model: LoadedModel, scores: Scores, infer_request: InferRequest, wanted: list[tuple[str, bool]]
) -> ServiceResponse:
    told: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if infer_request.id:
        told["id"] = infer_request.id
    made = {name: _output(model, name, scores.probabilities) for name, _ in wanted}
    outputs = [encode_output(made[name], binary=binary) for name, binary in wanted]
    body = _encode({**told, "outputs": [output for output, _ in outputs]})
    if not any(binary for _, binary in wanted):
        return ServiceResponse(body)
    headers = ((JSON_LENGTH, str(len(body))),)
    data = b"".join(data for _, data in outputs)
    return ServiceResponse(body + data, media_type="application/octet-stream", headers=headers)


def _output(model: LoadedModel, name: str, probabilities: np.ndarray) -> Output:
    if name == PROBABILITY:
        return Output(PROBABILITY, "FP32", probabilities)
    outcome = model.schema.outcome
    reached = probabilities.astype(np.float64) >= model.manifest.threshold
    words = (outcome.negative, outcome.positive)
    return Output(LABEL, BYTES, list(map(words.__getitem__, reached.tolist())))


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
            "also_taken": f"one input of another name, shape [-1, {n_columns}], the columns in this "
            "order; levels as BYTES; NaN, null and an empty word mean missing",
        },
    }


def _column_parameters(column: Column) -> dict[str, Any]:
    """What there is to know of a column; the protocol allows words, numbers and booleans here."""
    told: dict[str, Any] = {"title": column.title, "required": column.required}
    if column.kind == "number":
        told |= {"minimum": column.minimum, "maximum": column.maximum, "unit": column.unit}
    else:
        told["allowed"] = ", ".join(map(str, column.allowed))
    return told
