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

from app.models import ModelRegistry
from app.protocols.open_inference.requests import convert
from app.service import ErrorRenderer, Service
from app.web import ApiError, NotReady, ServiceRequest, ServiceResponse
from model.artifacts import MANIFEST_FILE, Store, decode_manifest
from model.errors import ModelError
from model.records import parse_strict_json

_encode = msgspec.json.Encoder().encode


class _RepositoryRequest(msgspec.Struct, frozen=True):
    """The body of any of the three; what the protocol does not know is passed over."""

    ready: bool = False
    parameters: dict[str, Any] | None = None


def register_repository(service: Service, render_error: ErrorRenderer) -> None:
    """Add the routes."""
    models = service.models
    store = Store(service.settings.model_store)

    def index(request: ServiceRequest) -> ServiceResponse:
        """List the versions of the store; with ``{"ready": true}`` only the loaded ones."""
        told = _index(models, store)
        if _read_request(request).ready:
            told = [entry for entry in told if entry["state"] == "READY"]
        return ServiceResponse(_encode(told))

    def load(request: ServiceRequest, name: str) -> ServiceResponse:
        """Load the model again, or load one more version."""
        require_name(name)
        models.load(_requested_version(_read_request(request)))
        return ServiceResponse(_encode({"name": name, "load": True}))

    def unload(request: ServiceRequest, name: str) -> ServiceResponse:
        """Unload the model, or one version that is not current."""
        require_name(name)
        models.unload(_requested_version(_read_request(request)))
        return ServiceResponse(_encode({"name": name, "unload": True}))

    def require_name(name: str) -> None:
        known = _model_name(models, store)
        if name != known:
            raise ApiError("not_found", f"there is no model of this name; there is {known}")

    routes = (
        ("index", index, "monitor"),
        ("models/<name>/load", load, "manage"),
        ("models/<name>/unload", unload, "manage"),
    )
    for path, handler, scope in routes:
        service.add_route(
            "POST", f"/v2/repository/{path}", handler, scope, render_error=render_error
        )


def _index(models: ModelRegistry, store: Store) -> list[dict[str, str]]:
    snapshot = models.snapshot
    try:
        name, stored = _model_name(models, store), store.versions()
    except (NotReady, OSError):
        return []
    told = []
    for version in dict.fromkeys([*stored, *snapshot.loaded]):
        model = snapshot.loaded.get(version)
        why = "" if model else "it was not asked for, or it was unloaded"
        told.append(
            {
                "name": name,
                "version": model.version if model else version,
                "state": "READY" if model else "UNAVAILABLE",
                "reason": snapshot.failures.get(version, why),
            }
        )
    return told


def _model_name(models: ModelRegistry, store: Store) -> str:
    """The name of the model, also while nothing is loaded.

    Raises:
        NotReady: there is nothing in the store that has one.
    """
    for model in models.snapshot.loaded.values():
        return model.name
    with suppress(OSError):
        for version in reversed(store.versions()):
            with suppress(ModelError, OSError):
                manifest = (store.path(version) / MANIFEST_FILE).read_bytes()
                return decode_manifest(manifest, version).name
    raise NotReady(models.failure or "nothing is loaded")


def _read_request(request: ServiceRequest) -> _RepositoryRequest:
    body = request.body()
    if not body.strip():
        return _RepositoryRequest()
    return convert(_RepositoryRequest, parse_strict_json(body))


def _requested_version(request: _RepositoryRequest) -> str:
    parameters = request.parameters or {}
    if any(name == "config" or name.startswith("file:") for name in parameters):
        message = "models come from the store; neither a configuration nor files can be sent"
        raise ApiError("bad_request", message)
    version = parameters.get("version", "")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if not isinstance(version, str):
        raise ApiError("bad_request", "version must be the number of a version")
    return version
