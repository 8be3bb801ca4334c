"""What the service says about itself: its health, its model, its schema, its problems, its metrics."""

from __future__ import annotations

from typing import Any

import msgspec

from app.models import LoadedModel
from app.openapi import record_schema
from app.service import Service
from app.web import ANY_KEY, CONTENT_TYPE, KINDS, OPEN, Answer, Call, NotReady, Refused

# The command line may hold paths of the machine that trained; checksums are of no use to a client.
NOT_SHOWN = ("command", "files", "checksum")
_encode = msgspec.json.Encoder().encode


def register_about(service: Service) -> None:
    """Add the routes that describe."""
    models = service.models

    def healthz(call: Call) -> Answer:
        """Whether the process answers at all."""
        return Answer(_encode({"status": "alive"}))

    def readyz(call: Call) -> Answer:
        """Whether a verified model is loaded, and why what is wanted is not what serves, if so."""
        try:
            model = models.get()
        except NotReady as error:
            raise Refused("not_ready", str(error), ready=False) from None
        told: dict[str, Any] = {"ready": True, "version": model.version}
        if others := [v for v in models.table.loaded if v != model.version]:
            told["also_loaded"] = sorted(others)
        if models.failure:
            told["reload_failure"] = models.failure
        return Answer(_encode(told))

    def model(call: Call) -> Answer:
        """What serves: the manifest without paths, and what the outcome is and is not."""
        return Answer(_encode(described_model(call.answered_by(models.get()))))

    def schema(call: Call) -> Answer:
        """The JSON Schema of a record."""
        described = record_schema(models.get().schema)
        return Answer(_encode(described), media_type="application/schema+json")

    def problem(call: Call, code: str) -> Answer:
        """What a kind of problem means and what to do about it."""
        if code not in KINDS:
            raise Refused("not_found", "there is no such kind of problem")
        return Answer(_encode({"code": code, **KINDS[code]._asdict()}))

    def metrics(call: Call) -> Answer:
        """What Prometheus reads, of all workers together."""
        return Answer(service.metrics.text(), media_type=CONTENT_TYPE)

    service.add_route("GET", "/healthz", healthz, OPEN)
    service.add_route("GET", "/readyz", readyz, OPEN)
    if service.settings.health_route:
        service.add_route("GET", service.settings.health_route, readyz, OPEN, by_host=True)
    service.add_route("GET", "/model", model, ANY_KEY)
    service.add_route("GET", "/schema", schema, ANY_KEY)
    service.add_route("GET", "/problems/<code>", problem, OPEN)
    service.add_route("GET", "/metrics", metrics, "monitor")


def described_model(model: LoadedModel) -> dict[str, Any]:
    """What ``/model`` says of a version."""
    shown = msgspec.to_builtins(model.manifest)
    for name in NOT_SHOWN:
        del shown[name]
    outcome = model.schema.outcome
    shown["outcome"] = {
        "rule": outcome.rule,
        "positive": outcome.positive,
        "negative": outcome.negative,
        "meaning": outcome.meaning,
        "caution": outcome.caution,
    }
    shown["offers"] = model.offers
    shown["source"] = msgspec.to_builtins(model.schema.source)
    return shown
