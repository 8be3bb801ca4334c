"""The service's own routes."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response, abort, current_app, request
from werkzeug.exceptions import BadRequest, HTTPException

from app.current import CurrentModel, LoadedModel, NotReady
from app.errors import KINDS, UnsupportedMediaType, problem
from app.record_schema import record_schema
from model.scoring import Prediction

routes = Blueprint("predictions", __name__)

# The command line may hold paths of the machine that trained; checksums are of no use to a client.
_NOT_SHOWN = ("command", "files", "checksum")
_encode = msgspec.json.Encoder().encode


def read_body() -> bytes:
    """The whole body of the request.

    Raises:
        RequestEntityTooLarge: it is longer than the limit, also where it declares no length.
        BadRequest: it ended before it should have, or its chunks make no sense.
    """
    try:
        body = request.get_data(cache=False)
        if request.content_length is None and len(body) == request.max_content_length:
            request.stream.read(1)  # Werkzeug stops at the limit, and says so only past it
    except HTTPException:
        raise
    except Exception as error:  # the server's, and each server has its own
        raise BadRequest from error
    return body


class Answer(msgspec.Struct, frozen=True):
    """What ``/predict`` answers; prediction i belongs to record i."""

    model: str
    version: str
    predictions: list[Prediction]


def answer(body: bytes, model: LoadedModel) -> bytes:
    """The JSON answer to the JSON body of a prediction request.

    Raises:
        UnreadableBody, InvalidRecords: as :meth:`model.records.RecordReader.read_json`.
    """
    batch = model.reader.read_json(body)
    manifest = model.scorer.manifest
    return _encode(Answer(manifest.name, manifest.version, model.scorer.predict(batch.values)))


@routes.post("/predict")
def predict() -> Response:
    """Probabilities for one record, a list of records, or ``{"instances": [records]}``."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    model = _current().get()
    return _json(answer(read_body(), model))


@routes.get("/healthz")
def healthz() -> Response:
    """Whether the process answers at all."""
    return _json(_encode({"status": "alive"}))


@routes.get("/readyz")
def readyz() -> Response:
    """Whether a verified model is loaded, and why the store's current one is not, if so."""
    current = _current()
    try:
        model = current.get()
    except NotReady as error:
        return problem("not_ready", str(error), ready=False)
    told: dict[str, Any] = {"ready": True, "version": model.version}
    if current.failure:
        told["reload_failure"] = current.failure
    return _json(_encode(told))


@routes.get("/model")
def model() -> Response:
    """What serves: the manifest without paths, and what the outcome is and is not."""
    scorer = _current().get().scorer
    shown = msgspec.to_builtins(scorer.manifest)
    for name in _NOT_SHOWN:
        del shown[name]
    outcome = scorer.schema.outcome
    shown["outcome"] = {
        "rule": outcome.rule,
        "positive": outcome.positive,
        "negative": outcome.negative,
        "meaning": outcome.meaning,
        "caution": outcome.caution,
    }
    shown["source"] = msgspec.to_builtins(scorer.schema.source)
    return _json(_encode(shown))


@routes.get("/schema")
def schema() -> Response:
    """The JSON Schema of a record."""
    described = record_schema(_current().get().scorer.schema)
    return _json(_encode(described), "application/schema+json")


@routes.get("/problems/<code>")
def describe_problem(code: str) -> Response:
    """What a kind of problem means and what to do about it."""
    if code not in KINDS:
        abort(404)
    status, title, remedy = KINDS[code]
    return _json(_encode({"code": code, "status": status, "title": title, "what_to_do": remedy}))


def _current() -> CurrentModel:
    return current_app.extensions["current_model"]


def _json(body: bytes, mimetype: str = "application/json") -> Response:
    return Response(body, mimetype=mimetype)
