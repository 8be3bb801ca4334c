"""The OpenAPI document: the routes of the service, in the order of their registration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.openapi.components import components
from app.openapi.error_examples import ErrorExample, error_examples, error_responses
from app.openapi.operations import DocumentedModel, Json, Operation, RouteGroup, ref
from app.service import Route, Service
from app.web import AUTHENTICATED, PROBLEM_TYPES, PUBLIC

_REFERENCE = re.compile(r'"#/components/schemas/(\w+)')
_PLACEHOLDER = re.compile(r"<(?:[^<>]*:)?(\w+)>")


def describe_routes(
    service: Service, documented: DocumentedModel, groups: Iterable[RouteGroup]
) -> dict[Route, Operation]:
    """Return the operation of every route.

    A route without an operation of its own gets the one of its handler: a path that a platform
    chooses has a handler that also answers another path.
    """
    operations: dict[str, Operation] = {}
    for group in groups:
        operations |= group.routes(documented)
    by_handler = {
        route.handler: operations[_route_key(route)]
        for route in service.routes()
        if _route_key(route) in operations
    }
    return {
        route: operations.get(_route_key(route)) or by_handler.get(route.handler) or UNDESCRIBED
        for route in service.routes()
    }


UNDESCRIBED = Operation(tag="Others", responses={200: {"description": "The response."}})
"""The operation of a route with nothing but a docstring. A test requires that there is none."""


def build_document(
    service: Service, documented: DocumentedModel, groups: Sequence[RouteGroup]
) -> Json:
    """Return the document for a loaded model and the settings of the service."""
    model, outcome = documented.model, documented.schema.outcome
    examples = error_examples(documented)
    operations = describe_routes(service, documented, groups)
    paths: Json = {}
    for route, operation in operations.items():
        item = paths.setdefault(openapi_path(route), {})
        item[route.method.lower()] = _operation(service, documented, route, operation, examples)
    schemas: Json = {}
    for group in groups:
        schemas |= group.schemas(documented)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": f"Predictions: {documented.schema.title}",
            "version": model.version,
            "summary": f"Probabilities of {outcome.positive}, from version {model.version} of "
            f"{model.name}.",
            "description": f"{outcome.meaning}\n\n{outcome.caution}",
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(o.tag for o in operations.values())],
        "paths": paths,
        "components": {"schemas": _referenced(paths, schemas), **components()},
    }


def openapi_path(route: Route) -> str:
    """Return the path of a route in OpenAPI notation, such as ``/problems/{code}``."""
    return _PLACEHOLDER.sub(r"{\1}", route.rule)


def _route_key(route: Route) -> str:
    """Return the key of a route's operation in its group, such as ``GET /problems/{}``."""
    return f"{route.method} {_PLACEHOLDER.sub('{}', route.rule)}"


def _operation(
    service: Service,
    documented: DocumentedModel,
    route: Route,
    operation: Operation,
    examples: dict[str, list[ErrorExample]],
) -> Json:
    summary, _, details = (route.handler.__doc__ or "").strip().partition("\n\n")
    errors = error_responses(operation, route, _error_codes(service, route, operation), examples)
    responses = {str(status): response for status, response in operation.responses.items()}
    if route.scope == "manage" and not service.keys.can_manage:
        responses = {}  # every request fails while management is disabled
    description: Json = {
        "tags": [operation.tag],
        "operationId": _operation_id(route),
        "summary": _one_line(summary),
        "parameters": [
            *_path_parameters(documented, route),
            *operation.parameters,
            ref("RequestId", "parameters"),
        ],
        "responses": _with_request_id(responses | errors),
    }
    if text := "\n\n".join(filter(None, (_one_line(details), operation.note))):
        description["description"] = text
    if operation.body:
        description["requestBody"] = {
            "required": operation.body_required,
            "content": operation.body,
        }
    if service.keys.configured:
        scope = route.scope
        scopes = [] if scope == AUTHENTICATED else [scope]
        security = [] if scope == PUBLIC else [{"bearer": scopes}, {"apiKey": scopes}]
        description["security"] = security
    return description


def _error_codes(service: Service, route: Route, operation: Operation) -> list[str]:
    """Return the codes of the errors that a route can respond with."""
    scope, keys = route.scope, service.keys
    if scope == "manage" and not keys.can_manage:
        return ["management_off"]
    codes = [*operation.error_codes, "internal_error"]
    if keys.configured and scope != PUBLIC:
        codes += ["unauthenticated", *([] if scope == AUTHENTICATED else ["forbidden"])]
    return sorted(codes, key=list(PROBLEM_TYPES).index)


def _path_parameters(documented: DocumentedModel, route: Route) -> Iterator[Json]:
    """Yield the path parameters; the path segment before one determines its schema."""
    settings, model = documented.settings, documented.model
    schemas: Mapping[str, Json] = {
        "models": {"enum": [model.name]},
        "versions": {"type": "string", "pattern": "^[0-9]{1,18}$", "examples": [model.version]},
        "labels": {"enum": ["current", *settings.version_labels]},
        "problems": {"enum": list(PROBLEM_TYPES)},
    }
    for match in _PLACEHOLDER.finditer(route.rule):
        segment = route.rule[: match.start()].strip("/").rpartition("/")[2]
        schema = schemas.get(segment, {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"})
        yield {"name": match[1], "in": "path", "required": True, "schema": schema}


def _referenced(paths: Json, schemas: Json) -> Json:
    """Return the schemas that the paths refer to, directly or through other schemas."""
    referenced: set[str] = set()
    texts = [json.dumps(paths)]
    while texts:
        names = set(_REFERENCE.findall(texts.pop())) - referenced
        texts += [json.dumps(schemas[name]) for name in names]
        referenced |= names
    return {name: schema for name, schema in schemas.items() if name in referenced}


def _with_request_id(responses: dict[str, Json]) -> dict[str, Json]:
    request_id = {"X-Request-ID": ref("RequestId", "headers")}
    return {
        status: {**response, "headers": {**response.get("headers", {}), **request_id}}
        for status, response in sorted(responses.items())
    }


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.rule)
    return "_".join([route.method.lower(), *words])


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "").split())
