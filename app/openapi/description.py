"""The OpenAPI document of the loaded model, and the route that serves it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import msgspec

from app.models import LoadedModel
from app.openapi.document import build_document
from app.openapi.operations import DocumentedModel, Json, RouteGroup
from app.service import Service
from app.web import PUBLIC, ServiceRequest, ServiceResponse


def register_openapi(service: Service, groups: Sequence[RouteGroup]) -> Description:
    """Register ``/openapi.json``.

    Args:
        groups: the operations and schemas of each API.

    Returns:
        the cached document, for the documentation page.
    """
    description = Description(service, groups)

    def openapi(request: ServiceRequest) -> ServiceResponse:
        """Return this document, which follows OpenAPI 3.1."""
        return ServiceResponse(
            msgspec.json.encode(description.for_model(request.bind_model(service.models.get())))
        )

    # Public, like its page: a browser sends no key, and the document contains no patient data.
    service.add_route("GET", "/openapi.json", openapi, PUBLIC)
    return description


class Description:
    """The OpenAPI document of the serving model, built once per loaded version."""

    def __init__(self, service: Service, groups: Sequence[RouteGroup]) -> None:
        self._service = service
        self._groups = groups
        self._lock = threading.Lock()
        self._cached: tuple[LoadedModel, Json] | None = None

    def for_model(self, model: LoadedModel) -> Json:
        """Return the OpenAPI document of the service with this model."""
        with self._lock:
            if self._cached is None or self._cached[0] is not model:
                documented = DocumentedModel(model, self._service.settings)
                self._cached = (model, build_document(self._service, documented, self._groups))
            return self._cached[1]
