"""The model repository of the Open Inference Protocol, an extension of Triton and MLServer.

    POST /v2/repository/index                  every version of the store, and whether it is loaded
    POST /v2/repository/models/NAME/load       load what was unloaded, or one version beside it
    POST /v2/repository/models/NAME/unload     stop serving, or one version that is not current

One version is chosen by ``{"parameters": {"version": "2"}}``. Without, everything is meant.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from app.models import Models
from app.protocols.open_inference.requests import as_this
from app.service import Render, Service
from app.web import Answer, Call, NotReady, Refused
from model.artifacts import MANIFEST_FILE, Store, decode_manifest
from model.errors import ModelError
from model.records import parse_strict_json

_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct, frozen=True):
    """The body of any of the three; what the protocol does not know is passed over."""

    ready: bool = False
    parameters: dict[str, Any] | None = None


def register_repository(service: Service, render: Render) -> None:
    """Add the routes."""
    models = service.models
    store = Store(service.settings.model_store)

    def index(call: Call) -> Answer:
        """Every version of the store; with ``{"ready": true}`` only those that are loaded."""
        told = _index(models, store)
        if _read(call).ready:
            told = [entry for entry in told if entry["state"] == "READY"]
        return Answer(_encode(told))

    def load(call: Call, name: str) -> Answer:
        """Load what was unloaded, or one version."""
        require_name(name)
        models.load(_version(_read(call)))
        return Answer(_encode({"name": name, "load": True}))

    def unload(call: Call, name: str) -> Answer:
        """Stop serving everything, or one version."""
        require_name(name)
        models.unload(_version(_read(call)))
        return Answer(_encode({"name": name, "unload": True}))

    def require_name(name: str) -> None:
        known = _name(models, store)
        if name != known:
            raise Refused("not_found", f"there is no model of this name; there is {known}")

    routes = (
        ("index", index, "monitor"),
        ("models/<name>/load", load, "manage"),
        ("models/<name>/unload", unload, "manage"),
    )
    for path, handler, scope in routes:
        service.add_route("POST", f"/v2/repository/{path}", handler, scope, render=render)


def _index(models: Models, store: Store) -> list[dict[str, str]]:
    table = models.table
    try:
        name, stored = _name(models, store), store.versions()
    except (NotReady, OSError):
        return []
    told = []
    for version in dict.fromkeys([*stored, *table.loaded]):
        model = table.loaded.get(version)
        why = "" if model else "it was not asked for, or it was unloaded"
        told.append(
            {
                "name": name,
                "version": model.version if model else version,
                "state": "READY" if model else "UNAVAILABLE",
                "reason": table.failures.get(version, why),
            }
        )
    return told


def _name(models: Models, store: Store) -> str:
    """The name of the model, also while nothing is loaded.

    Raises:
        NotReady: there is nothing in the store that has one.
    """
    for model in models.table.loaded.values():
        return model.name
    with suppress(OSError):
        for version in reversed(store.versions()):
            with suppress(ModelError, OSError):
                manifest = (store.path(version) / MANIFEST_FILE).read_bytes()
                return decode_manifest(manifest, version).name
    raise NotReady(models.failure or "nothing is loaded")


def _read(call: Call) -> _Request:
    body = call.body()
    if not body.strip():
        return _Request()
    return as_this(_Request, parse_strict_json(body))


def _version(request: _Request) -> str:
    parameters = request.parameters or {}
    if any(name == "config" or name.startswith("file:") for name in parameters):
        message = "models come from the store; neither a configuration nor files can be sent"
        raise Refused("bad_request", message)
    version = parameters.get("version", "")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if not isinstance(version, str):
        raise Refused("bad_request", "version must be the number of a version")
    return version
