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
from app.models import LoadedModel
from app.protocols.tensorflow_serving.errors import render_error
from app.protocols.tensorflow_serving.metadata import signature_metadata, version_statuses
from app.protocols.tensorflow_serving.requests import ParsedRecords, read_examples, read_tensors
from app.service import Handler, Service
from app.web import AUTHENTICATED, CONTENT_TYPE, ApiError, NotReady, ServiceRequest, ServiceResponse
from model.errors import InvalidRecords, Problem
from model.records import printable

FORMS = (
    "/v1/models/<segment:name>",
    "/v1/models/<segment:name>/versions/<segment:version>",
    "/v1/models/<segment:name>/labels/<segment:label>",
)
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


def register_tensorflow_serving(service: Service) -> None:
    """Add the routes under ``/v1/models`` and TensorFlow Serving's path for metrics."""
    api = TensorFlowServingApi(service)

    def add(method: str, path: str, handler: Handler, scope: str) -> None:
        service.add_route(method, path, handler, scope, render_error=render_error)

    for form in FORMS:
        add("POST", f"{form}:predict", api.predict, "predict")
        add("POST", f"{form}:classify", api.classify, "predict")
        add("POST", f"{form}:regress", api.regress, "predict")
        add("POST", f"{form}:explain", api.explain, "explain")
        add("POST", f"{form}:<verb>", api.unknown_verb, AUTHENTICATED)
        add("GET", form, api.status, AUTHENTICATED)
        add("GET", f"{form}/metadata", api.metadata, AUTHENTICATED)
    add("GET", "/v1/models", api.models, AUTHENTICATED)
    add("GET", "/monitoring/prometheus/metrics", api.metrics, "monitor")


class TensorFlowServingApi:
    """The route handlers. Each finds a model by its name and, if given, a version or a label."""

    def __init__(self, service: Service) -> None:
        self._models = service.models
        self._metrics = service.metrics
        self._settings = service.settings

    def predict(
        self, request: ServiceRequest, name: str, version: str = "", label: str = ""
    ) -> ServiceResponse:
        """Predict probabilities for records in the row or the columnar format."""
        model = self._find(request, name, version, label)
        values, path = self._read_values(request, model, read_tensors, "predict")
        predictions = [[p] for p in model.score(values).probabilities.tolist()]
        return ServiceResponse(
            _encode({"outputs" if path == "/inputs" else "predictions": predictions})
        )

    def classify(
        self, request: ServiceRequest, name: str, version: str = "", label: str = ""
    ) -> ServiceResponse:
        """Return both labels of the outcome with their probabilities, for each example."""
        model = self._find(request, name, version, label)
        values, _ = self._read_values(request, model, read_examples, "classify")
        outcome = model.schema.outcome
        probabilities = model.score(values).probabilities.tolist()
        results = [[[outcome.negative, 1 - p], [outcome.positive, p]] for p in probabilities]
        return ServiceResponse(_encode({"results": results}))

    def regress(
        self, request: ServiceRequest, name: str, version: str = "", label: str = ""
    ) -> ServiceResponse:
        """Return one probability per example."""
        model = self._find(request, name, version, label)
        values, _ = self._read_values(request, model, read_examples, "regress")
        return ServiceResponse(_encode({"results": model.score(values).probabilities.tolist()}))

    def explain(
        self, request: ServiceRequest, name: str, version: str = "", label: str = ""
    ) -> ServiceResponse:
        """KServe: explain each prediction by the contributions of its columns."""
        model = self._find(request, name, version, label)
        values, path = self._read_values(request, model, read_tensors, "explain")
        check_explanation_limit(len(values), self._settings.max_explained, path)
        return ServiceResponse(_encode({"explanations": model.explain(values)}))

    def unknown_verb(
        self, request: ServiceRequest, name: str, verb: str, version: str = "", label: str = ""
    ) -> ServiceResponse:
        """Reject other verbs. Allowed are predict, classify, regress and explain."""
        raise _malformed()

    def status(
        self, request: ServiceRequest, name: str, version: str = "", label: str = ""
    ) -> ServiceResponse:
        """Return the state of the model's versions and, for KServe, its readiness."""
        statuses = version_statuses(self._models.snapshot)
        if not version and not label:
            states = list(statuses.values())
            try:
                model = self._models.get()
            except NotReady as error:
                raise ApiError(
                    "not_ready", str(error), ready=False, model_version_status=states
                ) from None
            if model.name != name:
                raise _not_found(f"Could not find any versions of model {printable(name)}")
            content = {"name": name, "ready": True, "model_version_status": states}
            return ServiceResponse(_encode(content))
        number = self._version_for_label(label) if label else _normalize_version(version)
        if not self._has_name(name) or number not in statuses:
            raise _not_found(f"Could not find version {number} of model {printable(name)}")
        return ServiceResponse(_encode({"model_version_status": [statuses[number]]}))

    def metadata(
        self, request: ServiceRequest, name: str, version: str = "", label: str = ""
    ) -> ServiceResponse:
        """Return the signature: the inputs and the output of the model."""
        model = self._find(request, name, version, label)
        return ServiceResponse(_encode(signature_metadata(model)))

    def models(self, request: ServiceRequest) -> ServiceResponse:
        """KServe: list the names of the models."""
        names = {model.name for model in self._models.snapshot.loaded.values()}
        return ServiceResponse(_encode({"models": sorted(names)}))

    def metrics(self, request: ServiceRequest) -> ServiceResponse:
        """Return the service's metrics for Prometheus, at TensorFlow Serving's path."""
        return ServiceResponse(self._metrics.text(), media_type=CONTENT_TYPE)

    def _read_values(
        self, request: ServiceRequest, model: LoadedModel, read: BodyReader, verb: str
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

    def _find(self, request: ServiceRequest, name: str, version: str, label: str) -> LoadedModel:
        """Return the requested model.

        Raises:
            NotReady: no model is loaded.
            ApiError: there is no model of this name, or the version or label is not loaded.
        """
        if not version and not label:
            model = self._models.get()
            if model.name != name:
                raise _not_found(f"Servable not found for request: Latest({printable(name)})")
            return request.bind_model(model)
        number = self._version_for_label(label) if label else _normalize_version(version)
        if self._has_name(name):
            for model in self._models.snapshot.loaded.values():
                if model.version == number:
                    return request.bind_model(model)
        servable = f"Specific({printable(name)}, {number})"
        raise _not_found(f"Servable not found for request: {servable}")

    def _has_name(self, name: str) -> bool:
        """Return whether a loaded model has this name.

        Raises:
            NotReady: no model is loaded.
        """
        loaded = self._models.snapshot.loaded or {"": self._models.get()}
        return any(model.name == name for model in loaded.values())

    def _version_for_label(self, label: str) -> str:
        """Return the version with a label. ``current`` always exists."""
        if label == "current":
            return self._models.get().version
        if label not in self._settings.version_labels:
            raise _not_found(f"Unrecognized servable version label: {printable(label)}")
        return self._settings.version_labels[label]


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
