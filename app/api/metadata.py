"""The routes for health, the model, its schema, the problem types and the metrics."""

from __future__ import annotations

from typing import Any

import msgspec

from app.models import DocumentedModel, LoadedModel
from app.openapi import MODEL_ERRORS, constant_response, record_json_schema, ref, response
from app.routing import Responses, Router
from app.service import Service
from app.web import (
    AUTHENTICATED,
    CONTENT_TYPE,
    PROBLEM_TYPES,
    PUBLIC,
    ApiError,
    NotReady,
    ServiceRequest,
    ServiceResponse,
)

# The command line may contain paths of the training machine. Clients have no use for checksums.
HIDDEN_FIELDS = ("command", "files", "checksum")
_SCHEMA_TYPE = "application/schema+json"
_encode = msgspec.json.Encoder().encode

router = Router()


@router.route(
    "GET",
    "/healthz",
    scope=PUBLIC,
    tag="Health",
    responses={200: constant_response("The process is alive.", status="alive")},
)
def healthz(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Report that the process is alive."""
    return ServiceResponse(_encode({"status": "alive"}))


def readyz_responses(documented: DocumentedModel) -> Responses:
    """Return the response of ``/readyz``."""
    text = {"type": "string"}
    schema = {
        "type": "object",
        "required": ["ready", "version"],
        "properties": {
            "ready": {"const": True},
            "version": text,
            "also_loaded": {"type": "array", "items": text},
            "reload_failure": {**text, "description": "Why the last reload failed."},
        },
    }
    ready = {"ready": True, "version": documented.model.version}
    return {200: response("A verified model is loaded.", schema, ready=ready)}


@router.route(
    "GET",
    "/readyz",
    path_setting="health_route",
    scope=PUBLIC,
    tag="Health",
    responses=readyz_responses,
    errors=MODEL_ERRORS,
)
def readyz(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Report whether a verified model is loaded, and its version.

    If the last reload failed, the previous version keeps serving and ``reload_failure`` gives
    the reason.
    """
    models = service.models
    try:
        model = models.get()
    except NotReady as error:
        raise NotReady(str(error), ready=False) from None
    status: dict[str, Any] = {"ready": True, "version": model.version}
    if others := [v for v in models.snapshot.loaded if v != model.version]:
        status["also_loaded"] = sorted(others)
    if models.failure:
        status["reload_failure"] = models.failure
    return ServiceResponse(_encode(status))


def model_responses(documented: DocumentedModel) -> Responses:
    """Return the response of ``/model``."""
    manifest = describe_model(documented.model)
    description = "The manifest of the loaded version."
    return {200: response(description, ref("Manifest"), loaded_version=manifest)}


@router.route(
    "GET",
    "/model",
    scope=AUTHENTICATED,
    tag="The model",
    responses=model_responses,
    errors=MODEL_ERRORS,
)
def model(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the manifest of the loaded version, its outcome and its capabilities.

    The training command, the list of files and the checksum are omitted.
    """
    return ServiceResponse(_encode(describe_model(request.bind_model(service.models.get()))))


def schema_responses(documented: DocumentedModel) -> Responses:
    """Return the response of ``/schema``."""
    return {
        200: response(
            "The JSON Schema (draft 2020-12) of a record.",
            {"type": "object", "required": ["$schema", "type", "properties", "required"]},
            _SCHEMA_TYPE,
            loaded_version=record_json_schema(documented.schema),
        )
    }


@router.route(
    "GET",
    "/schema",
    scope=AUTHENTICATED,
    tag="The model",
    responses=schema_responses,
    errors=MODEL_ERRORS,
)
def schema(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the JSON Schema of a record."""
    record_schema = record_json_schema(service.models.get().schema)
    return ServiceResponse(_encode(record_schema), media_type=_SCHEMA_TYPE)


def describe_problem(code: str) -> dict[str, Any]:
    """Return the body of ``/problems/CODE``."""
    return {"code": code, **PROBLEM_TYPES[code]._asdict()}


@router.route(
    "GET",
    "/problems/<code>",
    scope=PUBLIC,
    tag="Problems",
    placeholders={"code": {"enum": list(PROBLEM_TYPES)}},
    responses={
        200: response(
            "The problem type.", ref("ProblemType"), not_ready=describe_problem("not_ready")
        )
    },
    errors=("not_found",),
)
def problem(service: Service, request: ServiceRequest, code: str) -> ServiceResponse:
    """Return the meaning of a problem type and how to resolve it."""
    if code not in PROBLEM_TYPES:
        raise ApiError("not_found", "unknown problem type; GET /openapi.json lists them all")
    return ServiceResponse(_encode(describe_problem(code)))


@router.route(
    "GET",
    "/metrics",
    scope="monitor",
    tag="Health",
    responses={
        200: response(
            "The metrics in the Prometheus text format.",
            {"type": "string"},
            CONTENT_TYPE.partition(";")[0],
        )
    },
)
def metrics(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the metrics of all workers in the Prometheus text format."""
    return ServiceResponse(service.metrics.text(), media_type=CONTENT_TYPE)


def describe_model(model: LoadedModel) -> dict[str, Any]:
    """Return the body of ``/model``: the manifest, the outcome, the capabilities and the source."""
    description = msgspec.to_builtins(model.manifest)
    for name in HIDDEN_FIELDS:
        del description[name]
    outcome = model.schema.outcome
    description["outcome"] = {
        "rule": outcome.rule,
        "positive": outcome.positive,
        "negative": outcome.negative,
        "meaning": outcome.meaning,
        "caution": outcome.caution,
    }
    description["capabilities"] = model.capabilities
    description["source"] = msgspec.to_builtins(model.schema.source)
    return description
