"""Routes of the model repository extension of Triton and MLServer.

A request selects one version with ``{"parameters": {"version": "2"}}``. A request without a version
applies to the whole model.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from app.models import ModelRegistry
from app.protocols.open_inference.errors import render_error
from app.protocols.open_inference.requests import convert
from app.protocols.open_inference.routes import PROTOCOL
from app.routing import Router
from app.service import Service
from app.web import ApiError, NotReady, ServiceRequest, ServiceResponse
from model.artifacts import MANIFEST_FILE, Store, decode_manifest
from model.errors import ModelError
from model.records import parse_strict_json

_encode = msgspec.json.Encoder().encode


class _RepositoryRequest(msgspec.Struct, frozen=True):
    """The body of a repository request. Unknown keys are ignored."""

    ready: bool = False
    parameters: dict[str, Any] | None = None


router = Router(protocol=PROTOCOL, render_error=render_error)


@router.route("POST", "/v2/repository/index", scope="monitor")
def index(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the versions of the store and their states.

    With ``{"ready": true}`` only the loaded versions.
    """
    entries = _index(service.models, _store(service))
    if _read_request(request).ready:
        entries = [entry for entry in entries if entry["state"] == "READY"]
    return ServiceResponse(_encode(entries))


@router.route("POST", "/v2/repository/models/<name>/load", scope="manage")
def load(service: Service, request: ServiceRequest, name: str) -> ServiceResponse:
    """Load the model again, or one version in addition to the current one."""
    _check_name(service, name)
    service.models.load(_requested_version(_read_request(request)))
    return ServiceResponse(_encode({"name": name, "load": True}))


@router.route("POST", "/v2/repository/models/<name>/unload", scope="manage")
def unload(service: Service, request: ServiceRequest, name: str) -> ServiceResponse:
    """Unload the model, or one version that is not the current one."""
    _check_name(service, name)
    service.models.unload(_requested_version(_read_request(request)))
    return ServiceResponse(_encode({"name": name, "unload": True}))


def _store(service: Service) -> Store:
    return Store(service.settings.model_store)


def _check_name(service: Service, name: str) -> None:
    model_name = _model_name(service.models, _store(service))
    if name != model_name:
        raise ApiError("not_found", f"no model has this name; the model is {model_name}")


def _index(models: ModelRegistry, store: Store) -> list[dict[str, str]]:
    """Return an entry for each stored or loaded version; none if there is no model."""
    snapshot = models.snapshot
    try:
        name, stored = _model_name(models, store), store.versions()
    except (NotReady, OSError):
        return []
    entries = []
    for version in dict.fromkeys([*stored, *snapshot.loaded]):
        model = snapshot.loaded.get(version)
        reason = "" if model else "no load was requested, or the version was unloaded"
        entries.append(
            {
                "name": name,
                "version": model.version if model else version,
                "state": "READY" if model else "UNAVAILABLE",
                "reason": snapshot.failures.get(version, reason),
            }
        )
    return entries


def _model_name(models: ModelRegistry, store: Store) -> str:
    """Return the name of the model, even if no version is loaded.

    Raises:
        NotReady: no version is loaded, and the store holds no readable manifest.
    """
    for model in models.snapshot.loaded.values():
        return model.name
    with suppress(OSError):
        for version in reversed(store.versions()):
            with suppress(ModelError, OSError):
                manifest = (store.path(version) / MANIFEST_FILE).read_bytes()
                return decode_manifest(manifest, version).name
    raise NotReady(models.failure or "no model is loaded")


def _read_request(request: ServiceRequest) -> _RepositoryRequest:
    body = request.body()
    if not body.strip():
        return _RepositoryRequest()
    return convert(_RepositoryRequest, parse_strict_json(body))


def _requested_version(request: _RepositoryRequest) -> str:
    parameters = request.parameters or {}
    if any(name == "config" or name.startswith("file:") for name in parameters):
        message = "models are loaded from the store only; send neither config nor files"
        raise ApiError("bad_request", message)
    version = parameters.get("version", "")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if not isinstance(version, str):
        raise ApiError("bad_request", "version must be a version number, such as 2")
    return version
