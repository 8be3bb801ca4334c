"""The application factory."""

from __future__ import annotations

from app.api import api_operations, api_schemas, register_metadata, register_predict
from app.openapi import RouteGroup, register_openapi
from app.page import register_page
from app.protocols.mlflow import mlflow_routes, mlflow_schemas, register_mlflow
from app.protocols.open_inference import (
    open_inference_routes,
    open_inference_schemas,
    register_open_inference,
)
from app.protocols.tensorflow_serving import (
    register_tensorflow_serving,
    tfserving_routes,
    tfserving_schemas,
)
from app.service import Service
from app.settings import Settings

ROUTE_GROUPS = (
    RouteGroup(tfserving_routes, tfserving_schemas),
    RouteGroup(open_inference_routes, open_inference_schemas),
    RouteGroup(mlflow_routes, mlflow_schemas),
    RouteGroup(api_operations, api_schemas),  # last: a platform's path gets our own operation
)
"""The operations and schemas of each API; a later group replaces an earlier one's operations."""


def create_app(settings: Settings | None = None, *, fast_path: bool = True) -> Service:
    """Return the service as a WSGI application, with all routes registered.

    No model is loaded yet. A server calls ``service.models.start()`` in each worker after the fork;
    otherwise the first request does.

    Args:
        settings: the settings; read from the environment if None.
        fast_path: whether predictions bypass Flask's dispatch; see :mod:`app.service`.
    """
    service = Service(settings or Settings.from_environment(), fast_path=fast_path)
    register_predict(service)
    register_metadata(service)
    register_tensorflow_serving(service)
    register_mlflow(service)
    register_open_inference(service)
    register_page(service, register_openapi(service, ROUTE_GROUPS))
    return service
