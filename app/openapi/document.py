"""The OpenAPI document: the routes that the service has, in the order of their registration."""

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
    """The routes with their descriptions; one that has none of its own gets its handler's.

    A path that a host chooses is answered by a handler that has another path as well.
    """
    known: dict[str, Operation] = {}
    for group in groups:
        known |= group.routes(documented)
    by_handler = {
        r.handler: known[_route_key(r)] for r in service.routes() if _route_key(r) in known
    }
    return {
        route: known.get(_route_key(route)) or by_handler.get(route.handler) or UNDESCRIBED
        for route in service.routes()
    }


UNDESCRIBED = Operation(tag="Others", responses={200: {"description": "The answer."}})
"""Of a route of which nothing is known but its docstring. A test wants there to be none."""


def build_document(
    service: Service, documented: DocumentedModel, groups: Sequence[RouteGroup]
) -> Json:
    """The whole document, true of the model that is loaded and the settings of the service."""
    model, outcome = documented.model, documented.schema.outcome
    known = error_examples(documented)
    operations = describe_routes(service, documented, groups)
    paths: Json = {}
    for route, operation in operations.items():
        item = paths.setdefault(openapi_path(route), {})
        item[route.method.lower()] = _operation(service, documented, route, operation, known)
    schemas: Json = {}
    for group in groups:
        schemas |= group.schemas(documented)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": f"Predictions: {documented.schema.title}",
            "version": model.version,
            "summary": f"Probabilities of {outcome.positive}, by version {model.version} of "
            f"{model.name}.",
            "description": f"{outcome.meaning}\n\n{outcome.caution}",
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(o.tag for o in operations.values())],
        "paths": paths,
        "components": {"schemas": _referenced(paths, schemas), **components()},
    }


def openapi_path(route: Route) -> str:
    """The path of a route as OpenAPI writes it, such as ``/problems/{code}``."""
    return _PLACEHOLDER.sub(r"{\1}", route.rule)


def _route_key(route: Route) -> str:
    """Under which the description of a route is found."""
    return f"{route.method} {_PLACEHOLDER.sub('{}', route.rule)}"


def _operation(
    service: Service,
    documented: DocumentedModel,
    route: Route,
    operation: Operation,
    known: dict[str, list[ErrorExample]],
) -> Json:
    summary, _, more = (route.handler.__doc__ or "").strip().partition("\n\n")
    refused = error_responses(operation, route, _error_codes(service, route, operation), known)
    answered = {str(status): response for status, response in operation.responses.items()}
    if route.scope == "manage" and not service.keys.can_manage:
        answered = {}  # whatever is sent, managing is off
    found: Json = {
        "tags": [operation.tag],
        "operationId": _operation_id(route),
        "summary": _one_line(summary),
        "parameters": [
            *_path_parameters(documented, route),
            *operation.parameters,
            ref("RequestId", "parameters"),
        ],
        "responses": _with_request_id(answered | refused),
    }
    if description := "\n\n".join(filter(None, (_one_line(more), operation.note))):
        found["description"] = description
    if operation.body:
        found["requestBody"] = {"required": operation.body_required, "content": operation.body}
    if service.keys.configured:
        scope = route.scope
        needed = [] if scope == AUTHENTICATED else [scope]
        found["security"] = [] if scope == PUBLIC else [{"bearer": needed}, {"apiKey": needed}]
    return found


def _error_codes(service: Service, route: Route, operation: Operation) -> list[str]:
    """The kinds of problems that a route can come with."""
    scope, keys = route.scope, service.keys
    if scope == "manage" and not keys.can_manage:
        return ["management_off"]
    found = [*operation.error_codes, "internal_error"]
    if keys.configured and scope != PUBLIC:
        found += ["unauthenticated", *([] if scope == AUTHENTICATED else ["forbidden"])]
    return sorted(found, key=list(PROBLEM_TYPES).index)


def _path_parameters(documented: DocumentedModel, route: Route) -> Iterator[Json]:
    """The parameters in a path; what one may be is told by the word before it."""
    settings, model = documented.settings, documented.model
    known: Mapping[str, Json] = {
        "models": {"enum": [model.name]},
        "versions": {"type": "string", "pattern": "^[0-9]{1,18}$", "examples": [model.version]},
        "labels": {"enum": ["current", *settings.version_labels]},
        "problems": {"enum": list(PROBLEM_TYPES)},
    }
    for match in _PLACEHOLDER.finditer(route.rule):
        before = route.rule[: match.start()].strip("/").rpartition("/")[2]
        schema = known.get(before, {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"})
        yield {"name": match[1], "in": "path", "required": True, "schema": schema}


def _referenced(paths: Json, schemas: Json) -> Json:
    """The schemas that the paths refer to, directly or by way of others."""
    found: set[str] = set()
    unread = [json.dumps(paths)]
    while unread:
        names = set(_REFERENCE.findall(unread.pop())) - found
        unread += [json.dumps(schemas[name]) for name in names]
        found |= names
    return {name: schema for name, schema in schemas.items() if name in found}


def _with_request_id(found: dict[str, Json]) -> dict[str, Json]:
    request_id = {"X-Request-ID": ref("RequestId", "headers")}
    return {
        status: {**found[status], "headers": {**found[status].get("headers", {}), **request_id}}
        for status in sorted(found)
    }


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.rule)
    return "_".join([route.method.lower(), *words])


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "").split())
