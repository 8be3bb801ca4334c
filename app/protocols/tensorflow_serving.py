"""TensorFlow Serving's REST API, version 1, and KServe's V1 dialect of it on the same paths.

The columns of the schema are the inputs of the one signature, and its output is ``probability`` of
shape (n, 1), as a Keras network with one sigmoid unit gives it. What is refused, and how it differs
from the original, stands in ``docs/protocols/tensorflow-serving.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
import numpy as np
from flask import request

from app.call import Answer, Call
from app.errors import NotReady, Refused
from app.keys import ANY_KEY
from app.loading import LoadedModel
from app.metrics import CONTENT_TYPE
from app.predictions import require_few
from app.protocols.tensorflow_bodies import Inputs, read_examples, read_tensors
from app.protocols.tensorflow_descriptions import metadata, statuses
from app.protocols.tensorflow_refusals import in_its_words
from app.service import Handler, Service
from model.errors import InvalidRecords, Problem
from model.records import printable

FORMS = (
    "/v1/models/<word:name>",
    "/v1/models/<word:name>/versions/<word:version>",
    "/v1/models/<word:name>/labels/<word:label>",
)
SIGNATURES = {
    "predict": ("predict",),
    "explain": ("predict",),
    "classify": ("classification", "tensorflow/serving/classify"),
    "regress": ("regression", "tensorflow/serving/regress"),
}
"""By verb, the names that its signature has in common exports beside ``serving_default``."""

MAX_VERSION = 2**63 - 1
_encode = msgspec.json.Encoder().encode
Read = Callable[[bytes, Sequence[str], Collection[str], int], Inputs]


def register_tensorflow_serving(service: Service) -> None:
    """Add everything under ``/v1/models``, KServe's liveness and TensorFlow Serving's metrics."""
    door = _Door(service)

    def add(method: str, path: str, handler: Handler, scope: str) -> None:
        service.add_route(method, path, handler, scope, render=in_its_words)

    for form in FORMS:
        add("POST", f"{form}:predict", door.predict, "predict")
        add("POST", f"{form}:classify", door.classify, "predict")
        add("POST", f"{form}:regress", door.regress, "predict")
        add("POST", f"{form}:explain", door.explain, "explain")
        add("POST", f"{form}:<verb>", door.unknown_verb, ANY_KEY)
        add("GET", form, door.status, ANY_KEY)
        add("GET", f"{form}/metadata", door.metadata, ANY_KEY)
    add("GET", "/v1/models", door.models, ANY_KEY)
    add("GET", "/monitoring/prometheus/metrics", door.metrics, "monitor")


class _Door:
    """The routes; each takes a model by name, and by version or label where one stands."""

    def __init__(self, service: Service) -> None:
        self._models = service.models
        self._metrics = service.metrics
        self._settings = service.settings

    def predict(self, call: Call, name: str, version: str = "", label: str = "") -> Answer:
        """Probabilities, by ``instances`` or ``inputs``."""
        model = self._find(call, name, version, label)
        values, path = self._values(call, model, read_tensors, "predict")
        answers = [[p] for p in model.score(values).probabilities.tolist()]
        return Answer(_encode({"outputs" if path == "/inputs" else "predictions": answers}))

    def classify(self, call: Call, name: str, version: str = "", label: str = "") -> Answer:
        """Both labels of the outcome, each with its probability."""
        model = self._find(call, name, version, label)
        values, _ = self._values(call, model, read_examples, "classify")
        no, yes = model.schema.outcome.negative, model.schema.outcome.positive
        probabilities = model.score(values).probabilities.tolist()
        return Answer(_encode({"results": [[[no, 1 - p], [yes, p]] for p in probabilities]}))

    def regress(self, call: Call, name: str, version: str = "", label: str = "") -> Answer:
        """Probabilities, one number an example."""
        model = self._find(call, name, version, label)
        values, _ = self._values(call, model, read_examples, "regress")
        return Answer(_encode({"results": model.score(values).probabilities.tolist()}))

    def explain(self, call: Call, name: str, version: str = "", label: str = "") -> Answer:
        """KServe: what each column contributed to each answer."""
        model = self._find(call, name, version, label)
        values, path = self._values(call, model, read_tensors, "explain")
        require_few(len(values), self._settings.max_explained, path)
        return Answer(_encode({"explanations": model.explain(values)}))

    def unknown_verb(
        self, call: Call, name: str, verb: str, version: str = "", label: str = ""
    ) -> Answer:
        """Refused: the verbs are predict, classify, regress and explain."""
        raise _malformed()

    def status(self, call: Call, name: str, version: str = "", label: str = "") -> Answer:
        """The state of the model's versions, and for KServe whether it is ready."""
        known = statuses(self._models.table)
        if not version and not label:
            try:
                ready = self._models.get()
            except NotReady as error:
                states = list(known.values())
                raise Refused(
                    "not_ready", str(error), ready=False, model_version_status=states
                ) from None
            if ready.name != name:
                raise _not_found(f"Could not find any versions of model {printable(name)}")
            told = {"name": name, "ready": True, "model_version_status": list(known.values())}
            return Answer(_encode(told))
        number = self._labelled(label) if label else _number(version)
        if not self._is_ours(name) or number not in known:
            raise _not_found(f"Could not find version {number} of model {printable(name)}")
        return Answer(_encode({"model_version_status": [known[number]]}))

    def metadata(self, call: Call, name: str, version: str = "", label: str = "") -> Answer:
        """The signature: what goes in and what comes out."""
        model = self._find(call, name, version, label)
        return Answer(_encode(metadata(model)))

    def models(self, call: Call) -> Answer:
        """KServe: the names of the models."""
        names = {model.name for model in self._models.table.loaded.values()}
        return Answer(_encode({"models": sorted(names)}))

    def metrics(self, call: Call) -> Answer:
        """What Prometheus reads, where it looks for it in TensorFlow Serving."""
        return Answer(self._metrics.text(), media_type=CONTENT_TYPE)

    def _values(
        self, call: Call, model: LoadedModel, read: Read, verb: str
    ) -> tuple[np.ndarray, str]:
        """The validated records of the body, and where they stood in it."""
        names = model.schema.column_names
        inputs = read(call.body(), names, SIGNATURES[verb], model.max_records)
        try:
            return model.read_records(inputs.records, inputs.path), inputs.path
        except InvalidRecords as error:
            if not inputs.shared:
                raise
            raise _once(error, inputs.shared) from None

    def _find(self, call: Call, name: str, version: str, label: str) -> LoadedModel:
        """The model that answers.

        Raises:
            NotReady: none is loaded.
            Refused: it has another name, or this version or label is not loaded.
        """
        if not version and not label:
            model = self._models.get()
            if model.name != name:
                raise _not_found(f"Servable not found for request: Latest({printable(name)})")
            return call.answered_by(model)
        number = self._labelled(label) if label else _number(version)
        if self._is_ours(name):
            for model in self._models.table.loaded.values():
                if model.version == number:
                    return call.answered_by(model)
        asked = f"Specific({printable(name)}, {number})"
        raise _not_found(f"Servable not found for request: {asked}")

    def _is_ours(self, name: str) -> bool:
        """Whether a loaded model has this name.

        Raises:
            NotReady: none is loaded.
        """
        loaded = self._models.table.loaded or {"": self._models.get()}
        return any(model.name == name for model in loaded.values())

    def _labelled(self, label: str) -> str:
        """The version that has a label; ``current`` is one."""
        if label == "current":
            return self._models.get().version
        if label not in self._settings.version_labels:
            raise _not_found(f"Unrecognized servable version label: {printable(label)}")
        return self._settings.version_labels[label]


def _once(error: InvalidRecords, shared: Collection[str]) -> InvalidRecords:
    """The problems of what ``context`` shares once, without a row, instead of for every record."""
    problems: dict[tuple[Any, ...], Problem] = {}
    for problem in error.problems:
        row = None if problem.field in shared else problem.row
        told = msgspec.structs.replace(problem, row=row)
        problems.setdefault((row, problem.field, problem.code), told)
    return InvalidRecords(
        list(problems.values()),
        n_records=error.n_records,
        n_wrong=error.n_wrong,
        path=error.path,
        n_problems=error.n_problems - len(error.problems) + len(problems),
    )


def _number(version: str) -> str:
    """A version as it is written in the store, without zeros in front."""
    if not (version.isascii() and version.isdecimal()):
        raise _malformed()
    if len(version) > 19 or int(version) > MAX_VERSION:
        raise Refused("bad_request", f"Failed to convert version: {printable(version)} to numeric.")
    return str(int(version))


def _malformed() -> Refused:
    return Refused("bad_request", f"Malformed request: {request.method} {printable(request.path)}")


def _not_found(message: str) -> Refused:
    return Refused("not_found", message)
