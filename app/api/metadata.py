"""The routes for health, the model, its schema, the problem types and the metrics."""

from __future__ import annotations

from typing import Any

import msgspec

from app.models import LoadedModel
from app.openapi import record_json_schema
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
_encode = msgspec.json.Encoder().encode


def register_metadata(service: Service) -> None:
    """Register the health, model, schema, problem and metrics routes.

    The docstrings of the handlers are published in the OpenAPI document.
    """
    models = service.models

    def healthz(request: ServiceRequest) -> ServiceResponse:
        """Report that the process is alive."""
        return ServiceResponse(_encode({"status": "alive"}))

    def readyz(request: ServiceRequest) -> ServiceResponse:
        """Report whether a verified model is loaded.

        If the last reload failed, the previous version keeps serving and ``reload_failure`` gives
        the reason.
        """
        try:
            model = models.get()
        except NotReady as error:
            raise ApiError("not_ready", str(error), ready=False) from None
        status: dict[str, Any] = {"ready": True, "version": model.version}
        if others := [v for v in models.snapshot.loaded if v != model.version]:
            status["also_loaded"] = sorted(others)
        if models.failure:
            status["reload_failure"] = models.failure
        return ServiceResponse(_encode(status))

    def model(request: ServiceRequest) -> ServiceResponse:
        """Return the manifest of the loaded version and the definition of its outcome.

        The training command, the list of files and the checksum are omitted.
        """
        return ServiceResponse(_encode(describe_model(request.bind_model(models.get()))))

    def schema(request: ServiceRequest) -> ServiceResponse:
        """Return the JSON Schema of a record."""
        record_schema = record_json_schema(models.get().schema)
        return ServiceResponse(_encode(record_schema), media_type="application/schema+json")

    def problem(request: ServiceRequest, code: str) -> ServiceResponse:
        """Return the meaning of a problem type and how to resolve it."""
        if code not in PROBLEM_TYPES:
            raise ApiError("not_found", "unknown problem type; GET /openapi.json lists them all")
        return ServiceResponse(_encode({"code": code, **PROBLEM_TYPES[code]._asdict()}))

    def metrics(request: ServiceRequest) -> ServiceResponse:
        """Return the metrics of all workers in the Prometheus text format."""
        return ServiceResponse(service.metrics.text(), media_type=CONTENT_TYPE)

    service.add_route("GET", "/healthz", healthz, PUBLIC)
    service.add_route("GET", "/readyz", readyz, PUBLIC)
    if service.settings.health_route:
        service.add_route("GET", service.settings.health_route, readyz, PUBLIC, platform_route=True)
    service.add_route("GET", "/model", model, AUTHENTICATED)
    service.add_route("GET", "/schema", schema, AUTHENTICATED)
    service.add_route("GET", "/problems/<code>", problem, PUBLIC)
    service.add_route("GET", "/metrics", metrics, "monitor")


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
