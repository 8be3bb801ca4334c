"""The OpenAPI document: the routes that the service has, in the order of their registration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.openapi.components import components
from app.openapi.error_examples import Example, examples, responses
from app.openapi.operations import Group, Json, Operation, Subject, ref
from app.service import Route, Service
from app.web import ANY_KEY, KINDS, OPEN

_REFERENCE = re.compile(r'"#/components/schemas/(\w+)')
_PLACEHOLDER = re.compile(r"<(?:[^<>]*:)?(\w+)>")


def described(
    service: Service, subject: Subject, groups: Iterable[Group]
) -> dict[Route, Operation]:
    """The routes with their descriptions; one that has none of its own gets its handler's.

    A path that a host chooses is answered by a handler that has another path as well.
    """
    known: dict[str, Operation] = {}
    for group in groups:
        known |= group.routes(subject)
    by_handler = {r.handler: known[_key(r)] for r in service.routes() if _key(r) in known}
    return {
        route: known.get(_key(route)) or by_handler.get(route.handler) or UNDESCRIBED
        for route in service.routes()
    }


UNDESCRIBED = Operation(tag="Others", answers={200: {"description": "The answer."}})
"""Of a route of which nothing is known but its docstring. A test wants there to be none."""


def document(service: Service, subject: Subject, groups: Sequence[Group]) -> Json:
    """The whole document, true of the model that is loaded and the settings of the service."""
    model, outcome = subject.model, subject.schema.outcome
    known = examples(subject)
    operations = described(service, subject, groups)
    paths: Json = {}
    for route, operation in operations.items():
        item = paths.setdefault(path_of(route), {})
        item[route.method.lower()] = _operation(service, subject, route, operation, known)
    schemas: Json = {}
    for group in groups:
        schemas |= group.schemas(subject)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": f"Predictions: {subject.schema.title}",
            "version": model.version,
            "summary": f"Probabilities of {outcome.positive}, by version {model.version} of "
            f"{model.name}.",
            "description": f"{outcome.meaning}\n\n{outcome.caution}",
        },
        "tags": [{"name": tag} for tag in dict.fromkeys(o.tag for o in operations.values())],
        "paths": paths,
        "components": {"schemas": _referred(paths, schemas), **components()},
    }


def path_of(route: Route) -> str:
    """The path of a route as OpenAPI writes it, such as ``/problems/{code}``."""
    return _PLACEHOLDER.sub(r"{\1}", route.rule)


def _key(route: Route) -> str:
    """Under which the description of a route is found."""
    return f"{route.method} {_PLACEHOLDER.sub('{}', route.rule)}"


def _operation(
    service: Service,
    subject: Subject,
    route: Route,
    operation: Operation,
    known: dict[str, list[Example]],
) -> Json:
    summary, _, more = (route.handler.__doc__ or "").strip().partition("\n\n")
    refused = responses(operation, route, _refusals(service, route, operation), known)
    answered = {str(status): response for status, response in operation.answers.items()}
    if route.scope == "manage" and not service.keys.manages:
        answered = {}  # whatever is sent, managing is off
    found: Json = {
        "tags": [operation.tag],
        "operationId": _name(route),
        "summary": _one_line(summary),
        "parameters": [
            *_placeholders(subject, route),
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
        needed = [] if scope == ANY_KEY else [scope]
        found["security"] = [] if scope == OPEN else [{"bearer": needed}, {"apiKey": needed}]
    return found


def _refusals(service: Service, route: Route, operation: Operation) -> list[str]:
    """The kinds of problems that a route can come with."""
    scope, keys = route.scope, service.keys
    if scope == "manage" and not keys.manages:
        return ["management_off"]
    found = [*operation.refusals, "internal_error"]
    if keys.configured and scope != OPEN:
        found += ["unauthenticated", *([] if scope == ANY_KEY else ["forbidden"])]
    return sorted(found, key=list(KINDS).index)


def _placeholders(subject: Subject, route: Route) -> Iterator[Json]:
    """The parameters in a path; what one may be is told by the word before it."""
    settings, model = subject.settings, subject.model
    known: Mapping[str, Json] = {
        "models": {"enum": [model.name]},
        "versions": {"type": "string", "pattern": "^[0-9]{1,18}$", "examples": [model.version]},
        "labels": {"enum": ["current", *settings.version_labels]},
        "problems": {"enum": list(KINDS)},
    }
    for match in _PLACEHOLDER.finditer(route.rule):
        before = route.rule[: match.start()].strip("/").rpartition("/")[2]
        schema = known.get(before, {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"})
        yield {"name": match[1], "in": "path", "required": True, "schema": schema}


def _referred(paths: Json, schemas: Json) -> Json:
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


def _name(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", route.rule)
    return "_".join([route.method.lower(), *words])


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "").split())
