"""What the service says about itself: its health, its model, its schema, its problems, its metrics."""

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

# The command line may hold paths of the machine that trained; checksums are of no use to a client.
HIDDEN_FIELDS = ("command", "files", "checksum")
_encode = msgspec.json.Encoder().encode


def register_metadata(service: Service) -> None:
    """Add the routes that describe."""
    models = service.models

    def healthz(request: ServiceRequest) -> ServiceResponse:
        """Whether the process answers at all."""
        return ServiceResponse(_encode({"status": "alive"}))

    def readyz(request: ServiceRequest) -> ServiceResponse:
        """Whether a verified model is loaded, and why what is wanted is not what serves, if so."""
        try:
            model = models.get()
        except NotReady as error:
            raise ApiError("not_ready", str(error), ready=False) from None
        told: dict[str, Any] = {"ready": True, "version": model.version}
        if others := [v for v in models.snapshot.loaded if v != model.version]:
            told["also_loaded"] = sorted(others)
        if models.failure:
            told["reload_failure"] = models.failure
        return ServiceResponse(_encode(told))

    def model(request: ServiceRequest) -> ServiceResponse:
        """What serves: the manifest without paths, and what the outcome is and is not."""
        return ServiceResponse(_encode(describe_model(request.bind_model(models.get()))))

    def schema(request: ServiceRequest) -> ServiceResponse:
        """The JSON Schema of a record."""
        described = record_json_schema(models.get().schema)
        return ServiceResponse(_encode(described), media_type="application/schema+json")

    def problem(request: ServiceRequest, code: str) -> ServiceResponse:
        """What a kind of problem means and what to do about it."""
        if code not in PROBLEM_TYPES:
            raise ApiError("not_found", "there is no such kind of problem")
        return ServiceResponse(_encode({"code": code, **PROBLEM_TYPES[code]._asdict()}))

    def metrics(request: ServiceRequest) -> ServiceResponse:
        """What Prometheus reads, of all workers together."""
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
    """What ``/model`` says of a version."""
    shown = msgspec.to_builtins(model.manifest)
    for name in HIDDEN_FIELDS:
        del shown[name]
    outcome = model.schema.outcome
    shown["outcome"] = {
        "rule": outcome.rule,
        "positive": outcome.positive,
        "negative": outcome.negative,
        "meaning": outcome.meaning,
        "caution": outcome.caution,
    }
    shown["capabilities"] = model.capabilities
    shown["source"] = msgspec.to_builtins(model.schema.source)
    return shown
