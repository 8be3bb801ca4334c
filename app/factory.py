"""TODO."""

from __future__ import annotations

from app.api import register_about, register_predictions
from app.openapi import register_openapi
from app.page import register_page
from app.protocols.mlflow import register_mlflow
from app.protocols.open_inference import register_open_inference
from app.protocols.tensorflow_serving import register_tensorflow_serving
from app.service import Service
from app.settings import Settings


def create_app(settings: Settings | None = None, *, hot: bool = True) -> Service:
    """The service as a WSGI application.

    Nothing is loaded yet: a server calls ``service.models.start()`` in each worker after the fork,
    and otherwise the first request does.

    Args:
        settings: read from the environment unless given.
        hot: whether predictions take the fast road; see :mod:`app.service`.
    """
    service = Service(settings or Settings.from_environment(), hot=hot)
    register_predictions(service)
    register_about(service)
    register_tensorflow_serving(service)
    register_mlflow(service)
    register_open_inference(service)
    register_page(service, register_openapi(service))
    return service
