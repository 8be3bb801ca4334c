"""The OpenAPI document of the routes that belong to other servers' protocols."""

from __future__ import annotations

import msgspec

from app import Service
from app.api import api_schemas
from app.models import DocumentedModel
from app.openapi import build_document, ref
from app.protocols.mlflow import PROTOCOL as MLFLOW
from app.routing import Json, Route
from tests.protocol_descriptions import mlflow, open_inference, tensorflow_serving
from tests.protocol_descriptions.description import ERROR, Description

PROTOCOLS = (tensorflow_serving, open_inference, mlflow)


def protocol_document(service: Service) -> Json:
    """Return the document for the loaded model, as the service builds that of its own routes.

    Raises:
        KeyError: a route has no description.
    """
    documented = DocumentedModel(service.models.get(), service.settings)
    descriptions = {k: v for p in PROTOCOLS for k, v in p.descriptions(documented).items()}
    schemas = api_schemas(documented)
    for protocol in PROTOCOLS:
        schemas |= protocol.schemas(documented)
    foreign = [route for route in service.routes if route.protocol]
    placeholders = placeholder_schemas(documented)
    routes = [described(route, descriptions[route.handler], placeholders) for route in foreign]
    document = build_document(documented, routes, service.keys, schemas)
    document["components"]["schemas"] |= {"Error": ERROR, "MlflowError": mlflow.ERROR}
    for route in foreign:
        operation = document["paths"][route.documented_path][route.method.lower()]
        name_error_schema(operation, "MlflowError" if route.protocol is MLFLOW else "Error")
        if route.scope == "manage" and not service.keys.can_manage:
            disabled = ("403", "404", "405")  # the last two for paths that match no route
            operation["responses"] = {s: operation["responses"][s] for s in disabled}
    return document


def described(route: Route, description: Description, placeholders: Json) -> Route:
    """Return a route as one of our own: with its description, and without its protocol."""
    assert route.protocol
    disabled = ("management_off",) if route.scope == "manage" else ()
    return msgspec.structs.replace(
        route,
        protocol=None,
        tag=route.protocol.name,
        placeholders=placeholders if "<" in route.path else {},
        body=(lambda _: description.body) if description.body else None,
        responses=description.responses,
        errors=(*description.errors, *disabled),
    )


def placeholder_schemas(documented: DocumentedModel) -> Json:
    """Return the schemas of the placeholders that the paths have."""
    model = documented.model
    return {
        "name": {"enum": [model.name]},
        "version": {"type": "string", "pattern": "^[0-9]{1,18}$", "examples": [model.version]},
        "label": {"enum": ["current", *documented.settings.version_labels]},
        "verb": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
    }


def name_error_schema(operation: Json, name: str) -> None:
    """Refer to the protocol's schema in JSON errors; those of unmatched paths are our own.

    The requests that cause the errors are requests to our own routes, so they are removed.
    """
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            for media_type, media in response["content"].items():
                if media_type == "application/json":
                    media["schema"] = ref(name)
                for example in media["examples"].values():
                    example.pop("x-request", None)
