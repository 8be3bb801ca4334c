"""Routes of TensorFlow Serving's REST API, version 1, and of KServe's V1 on the same paths.

The columns of the schema are the inputs of the one signature. Its output is ``probability`` of
shape (n, 1), as in the export of a Keras network with one sigmoid unit. The differences from
TensorFlow Serving are listed in ``docs/protocols/tensorflow-serving.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import numpy as np
from flask import request as flask_request

from app.api import check_explanation_limit
from app.models import DocumentedModel, LoadedModel, ModelRegistry
from app.protocols.tensorflow_serving.errors import render_error
from app.protocols.tensorflow_serving.metadata import signature_metadata, version_statuses
from app.protocols.tensorflow_serving.requests import ParsedRecords, read_examples, read_tensors
from app.routing import ForeignProtocol, Json, Router
from app.service import Service
from app.web import AUTHENTICATED, CONTENT_TYPE, ApiError, NotReady, ServiceRequest, ServiceResponse
from model.errors import InvalidRecords, Problem
from model.records import printable

SIGNATURES = {
    "predict": ("predict",),
    "explain": ("predict",),
    "classify": ("classification", "tensorflow/serving/classify"),
    "regress": ("regression", "tensorflow/serving/regress"),
}
"""By verb, the usual names of its signature in exports, in addition to ``serving_default``."""

MAX_VERSION = 2**63 - 1
_encode = msgspec.json.Encoder().encode
BodyReader = Callable[[bytes, Sequence[str], Collection[str], int], ParsedRecords]


def example_request(documented: DocumentedModel) -> tuple[str, Json]:
    """Return the path and the body of an example request."""
    return f"/v1/models/{documented.model.name}:predict", {"instances": [documented.record]}


PROTOCOL = ForeignProtocol(
    name="TensorFlow Serving (REST) and KServe V1",
    slug="tensorflow-serving",
    specifications={
        "TensorFlow Serving's REST API": "https://www.tensorflow.org/tfx/serving/api_rest",
        "KServe's V1 protocol": "https://kserve.github.io/website/docs/concepts/architecture/"
        "data-plane/v1-protocol",
    },
    differences="The signature has one input per column and one output, the probability. Errors "
    "list every problem of every record and quote no value. An unknown label is 404, a wrong "
    "method 405, and without a version the current one answers.",
    example=example_request,
)

_MODEL = "/v1/models/<segment:name>"
FORMS = (_MODEL, f"{_MODEL}/versions/<segment:version>", f"{_MODEL}/labels/<segment:label>")

router = Router(protocol=PROTOCOL, render_error=render_error)


def _forms(suffix: str) -> list[str]:
    """Return the paths of a model, of one of its versions and of a label, with a suffix."""
    return [form + suffix for form in FORMS]


@router.route("POST", *_forms(":predict"), scope="predict")
def predict(
    service: Service, request: ServiceRequest, name: str, version: str = "", label: str = ""
) -> ServiceResponse:
    """Return probabilities for records in the row or the columnar format."""
    model = _find_model(service, request, name, version, label)
    values, path = _read_values(request, model, read_tensors, "predict")
    predictions = [[p] for p in model.score(values).probabilities.tolist()]
    return ServiceResponse(
        _encode({"outputs" if path == "/inputs" else "predictions": predictions})
    )


@router.route("POST", *_forms(":classify"), scope="predict")
def classify(
    service: Service, request: ServiceRequest, name: str, version: str = "", label: str = ""
) -> ServiceResponse:
    """Return both labels of the outcome with their probabilities, for each example."""
    model = _find_model(service, request, name, version, label)
    values, _ = _read_values(request, model, read_examples, "classify")
    outcome = model.schema.outcome
    probabilities = model.score(values).probabilities.tolist()
    results = [[[outcome.negative, 1 - p], [outcome.positive, p]] for p in probabilities]
    return ServiceResponse(_encode({"results": results}))


@router.route("POST", *_forms(":regress"), scope="predict")
def regress(
    service: Service, request: ServiceRequest, name: str, version: str = "", label: str = ""
) -> ServiceResponse:
    """Return one probability per example."""
    model = _find_model(service, request, name, version, label)
    values, _ = _read_values(request, model, read_examples, "regress")
    return ServiceResponse(_encode({"results": model.score(values).probabilities.tolist()}))


@router.route("POST", *_forms(":explain"), scope="explain")
def explain(
    service: Service, request: ServiceRequest, name: str, version: str = "", label: str = ""
) -> ServiceResponse:
    """Return the contribution of each column to each prediction (KServe)."""
    model = _find_model(service, request, name, version, label)
    values, path = _read_values(request, model, read_tensors, "explain")
    check_explanation_limit(len(values), service.settings.max_explained, path)
    return ServiceResponse(_encode({"explanations": model.explain(values)}))


@router.route("POST", *_forms(":<verb>"), scope=AUTHENTICATED)
def unknown_verb(
    service: Service,
    request: ServiceRequest,
    name: str,
    verb: str,
    version: str = "",
    label: str = "",
) -> ServiceResponse:
    """Reject all other verbs with status 400."""
    raise _malformed()


@router.route("GET", *FORMS, scope=AUTHENTICATED)
def status(
    service: Service, request: ServiceRequest, name: str, version: str = "", label: str = ""
) -> ServiceResponse:
    """Return the state of the model's versions and, for KServe, whether the model is ready."""
    models = service.models
    statuses = version_statuses(models.snapshot)
    if not version and not label:
        states = list(statuses.values())
        try:
            model = models.get()
        except NotReady as error:
            raise NotReady(str(error), ready=False, model_version_status=states) from None
        if model.name != name:
            raise _not_found(f"Could not find any versions of model {printable(name)}")
        content = {"name": name, "ready": True, "model_version_status": states}
        return ServiceResponse(_encode(content))
    number = _version_for_label(service, label) if label else _normalize_version(version)
    if not _has_name(models, name) or number not in statuses:
        raise _not_found(f"Could not find version {number} of model {printable(name)}")
    return ServiceResponse(_encode({"model_version_status": [statuses[number]]}))


@router.route("GET", *_forms("/metadata"), scope=AUTHENTICATED)
def metadata(
    service: Service, request: ServiceRequest, name: str, version: str = "", label: str = ""
) -> ServiceResponse:
    """Return the signature: the inputs and the output of the model."""
    model = _find_model(service, request, name, version, label)
    return ServiceResponse(_encode(signature_metadata(model)))


@router.route("GET", "/v1/models", scope=AUTHENTICATED)
def model_names(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the names of the models (KServe)."""
    names = {model.name for model in service.models.snapshot.loaded.values()}
    return ServiceResponse(_encode({"models": sorted(names)}))


@router.route("GET", "/monitoring/prometheus/metrics", scope="monitor")
def metrics(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the metrics of ``GET /metrics``, at TensorFlow Serving's path."""
    return ServiceResponse(service.metrics.text(), media_type=CONTENT_TYPE)


def _read_values(
    request: ServiceRequest, model: LoadedModel, read: BodyReader, verb: str
) -> tuple[np.ndarray, str]:
    """Return the validated values of the body, and the JSON pointer of its records."""
    names = model.schema.column_names
    parsed = read(request.body(), names, SIGNATURES[verb], model.max_records)
    try:
        return model.validate_records(parsed.records, parsed.path), parsed.path
    except InvalidRecords as error:
        if not parsed.shared:
            raise
        raise _deduplicate(error, parsed.shared) from None


def _find_model(
    service: Service, request: ServiceRequest, name: str, version: str, label: str
) -> LoadedModel:
    """Return the requested model: a version or a label of a name.

    Raises:
        NotReady: no model is loaded.
        ApiError: there is no model of this name, or the version or label is not loaded.
    """
    models = service.models
    if not version and not label:
        model = models.get()
        if model.name != name:
            raise _not_found(f"Servable not found for request: Latest({printable(name)})")
        return request.bind_model(model)
    number = _version_for_label(service, label) if label else _normalize_version(version)
    if _has_name(models, name):
        for model in models.snapshot.loaded.values():
            if model.version == number:
                return request.bind_model(model)
    servable = f"Specific({printable(name)}, {number})"
    raise _not_found(f"Servable not found for request: {servable}")


def _has_name(models: ModelRegistry, name: str) -> bool:
    """Return whether a loaded model has this name.

    Raises:
        NotReady: no model is loaded.
    """
    loaded = models.snapshot.loaded or {"": models.get()}
    return any(model.name == name for model in loaded.values())


def _version_for_label(service: Service, label: str) -> str:
    """Return the version with a label. ``current`` always exists."""
    if label == "current":
        return service.models.get().version
    if label not in service.settings.version_labels:
        raise _not_found(f"Unrecognized servable version label: {printable(label)}")
    return service.settings.version_labels[label]


def _deduplicate(error: InvalidRecords, shared: Collection[str]) -> InvalidRecords:
    """Report each problem of a shared column once, without a row, instead of for every record."""
    problems: dict[tuple[Any, ...], Problem] = {}
    for problem in error.problems:
        row = None if problem.field in shared else problem.row
        key = (row, problem.field, problem.code)
        problems.setdefault(key, msgspec.structs.replace(problem, row=row))
    return InvalidRecords(
        list(problems.values()),
        n_records=error.n_records,
        n_invalid=error.n_invalid,
        path=error.path,
        n_problems=error.n_problems - len(error.problems) + len(problems),
    )


def _normalize_version(version: str) -> str:
    """Return a version as the store writes it, without leading zeros."""
    if not (version.isascii() and version.isdecimal()):
        raise _malformed()
    if len(version) > 19 or int(version) > MAX_VERSION:
        raise ApiError(
            "bad_request", f"Failed to convert version: {printable(version)} to numeric."
        )
    return str(int(version))


def _malformed() -> ApiError:
    return ApiError(
        "bad_request", f"Malformed request: {flask_request.method} {printable(flask_request.path)}"
    )


def _not_found(message: str) -> ApiError:
    return ApiError("not_found", message)
