"""The Open Inference Protocol (V2), as KServe, Triton and MLServer speak it over HTTP.

    GET  /v2                                  what the server offers
    GET  /v2/health/live, /v2/health/ready    whether it answers, and has a model to answer with
    GET  /v2/models                           the models, of which there is one
    GET  /v2/models/NAME[/versions/V]         its inputs and outputs
    GET  /v2/models/NAME[/versions/V]/ready   whether it is loaded
    POST /v2/models/NAME[/versions/V]/infer   probabilities and labels
    POST /v2/repository/…                     see :mod:`app.protocols.open_inference.routes.repository`

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
    columns_of,
    read_request,
    wanted_outputs,
)
from app.protocols.open_inference.tensors import BYTES, Output, written
from app.service import Service
from app.web import ANY_KEY, OPEN, Answer, Call, NotReady, Refusal, Refused, packed
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
            raise Refused("not_found", f"there is no model of this name; there is {model.name}")
        return model

    def server(call: Call) -> Answer:
        """What the server offers; the version is that of the protocol, not of any software."""
        extensions = ["binary_tensor_data", "model_repository"]
        told = {"name": "tabular-prediction-service", "version": "2", "extensions": extensions}
        return Answer(_encode(told))

    def live(call: Call) -> Answer:
        """Whether the process answers at all."""
        return Answer(_encode({"live": True}))

    def ready(call: Call) -> Answer:
        """Whether a verified model is loaded; without any, the service is not ready."""
        _or_not_ready(models.get)
        return Answer(_encode({"ready": True}))

    def listed(call: Call) -> Answer:
        """The names of the models."""
        names = {model.name for model in models.table.loaded.values()}
        return Answer(_encode({"models": sorted(names)}))

    def metadata(call: Call, name: str, version: str = "") -> Answer:
        """The inputs and outputs of a model, and its versions."""
        model = call.answered_by(model_of(name, version))
        versions = [loaded.version for loaded in models.table.loaded.values()]
        return Answer(_encode(_described(model, versions)))

    def model_ready(call: Call, name: str, version: str = "") -> Answer:
        """Whether a version is loaded."""
        _or_not_ready(lambda: model_of(name, version))
        return Answer(_encode({"name": name, "ready": True}))

    def infer(call: Call, name: str, version: str = "") -> Answer:
        """Probabilities and labels for one record a row."""
        model = call.answered_by(model_of(name, version))
        columns = model.schema.column_names
        request, binary = read_request(call.body(), call.header(JSON_LENGTH), len(columns))
        wanted = wanted_outputs(request, OUTPUTS)
        values = model.validate_columns(columns_of(request, binary, columns), "/inputs")
        return packed(call, _answer(model, model.score(values), request, wanted))

    def add(method: str, path: str, handler: Any, scope: str) -> None:
        service.add_route(method, path, handler, scope, render=as_this_protocol_refuses)

    add("GET", "/v2", server, ANY_KEY)
    add("GET", "/v2/health/live", live, OPEN)
    add("GET", "/v2/health/ready", ready, OPEN)
    add("GET", "/v2/models", listed, ANY_KEY)
    for path in ("/v2/models/<name>", "/v2/models/<name>/versions/<version>"):
        add("GET", path, metadata, ANY_KEY)
        add("GET", path + "/ready", model_ready, OPEN)
        add("POST", path + "/infer", infer, "predict")
    register_repository(service, as_this_protocol_refuses)


def as_this_protocol_refuses(refusal: Refusal) -> Answer:
    """400 for whatever is not valid, and JSON as its clients look for it.

    A pointer into the body would lead nowhere where the tensors lie behind the JSON; rows and
    columns are named in any case.
    """
    more = dict(refusal.more)
    if "errors" in more:
        more["errors"] = [
            {name: told for name, told in problem.items() if name != "pointer"}
            for problem in more["errors"]
        ]
    status = 400 if refusal.status == 422 else refusal.status
    refusal = msgspec.structs.replace(refusal, status=status, more=more)
    return Answer(_encode(refusal.details()), status, headers=refusal.headers)


def _or_not_ready(get: Any) -> None:
    try:
        get()
    except NotReady as error:
        raise Refused("not_ready", str(error), ready=False) from None


def _answer(
    model: LoadedModel, scores: Scores, request: InferRequest, wanted: list[tuple[str, bool]]
) -> Answer:
    told: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if request.id:
        told["id"] = request.id
    made = {name: _output(model, name, scores.probabilities) for name, _ in wanted}
    outputs = [written(made[name], binary=binary) for name, binary in wanted]
    body = _encode({**told, "outputs": [output for output, _ in outputs]})
    if not any(binary for _, binary in wanted):
        return Answer(body)
    headers = ((JSON_LENGTH, str(len(body))),)
    data = b"".join(data for _, data in outputs)
    return Answer(body + data, media_type="application/octet-stream", headers=headers)


def _output(model: LoadedModel, name: str, probabilities: np.ndarray) -> Output:
    if name == PROBABILITY:
        return Output(PROBABILITY, "FP32", probabilities)
    outcome = model.schema.outcome
    reached = probabilities.astype(np.float64) >= model.manifest.threshold
    words = (outcome.negative, outcome.positive)
    return Output(LABEL, BYTES, list(map(words.__getitem__, reached.tolist())))


def _described(model: LoadedModel, versions: list[str]) -> dict[str, Any]:
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
                "parameters": _parameters_of(column),
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


def _parameters_of(column: Column) -> dict[str, Any]:
    """What there is to know of a column; the protocol allows words, numbers and booleans here."""
    told: dict[str, Any] = {"title": column.title, "required": column.required}
    if column.kind == "number":
        told |= {"minimum": column.minimum, "maximum": column.maximum, "unit": column.unit}
    else:
        told["allowed"] = ", ".join(map(str, column.allowed))
    return told
