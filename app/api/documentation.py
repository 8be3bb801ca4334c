"""The OpenAPI document of the service with the loaded model, and the route that returns it."""

from __future__ import annotations

import threading

import msgspec

from app.api.schemas import api_schemas
from app.models import DocumentedModel, LoadedModel
from app.openapi import MODEL_ERRORS, build_document, response
from app.routing import Json, Router
from app.service import Service
from app.web import PUBLIC, ServiceRequest, ServiceResponse

router = Router(tag="Documentation")
_build_lock = threading.Lock()


# Public, as its page: a browser sends no key, and the document contains no patient data.
@router.route(
    "GET",
    "/openapi.json",
    scope=PUBLIC,
    responses={
        200: response(
            "The OpenAPI document.",
            {
                "type": "object",
                "required": ["openapi", "info", "paths", "components"],
                "properties": {"openapi": {"const": "3.1.0"}},
            },
        )
    },
    errors=MODEL_ERRORS,
)
def openapi(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the OpenAPI 3.1 document: our own routes with their limits, examples and errors."""
    model = request.bind_model(service.models.get())
    return ServiceResponse(msgspec.json.encode(document_of(service, model)))


def document_of(service: Service, model: LoadedModel) -> Json:
    """Return the OpenAPI document of the service with a model, built once per loaded version."""
    with _build_lock:
        cached: tuple[LoadedModel, Json] | None = service.extensions.get("openapi")
        if cached is None or cached[0] is not model:
            documented = DocumentedModel(model, service.settings)
            schemas = api_schemas(documented)
            document = build_document(documented, service.routes, service.keys, schemas)
            cached = service.extensions["openapi"] = (model, document)
        return cached[1]
