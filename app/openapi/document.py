"""The OpenAPI document: our own routes in the order of their declaration, and links to the others.

The routes of foreign protocols are described by the specifications of these protocols. The document
has a tag for each of them, with a link to its page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from app.api_keys import ApiKeys
from app.models import DocumentedModel
from app.openapi.components import components
from app.openapi.error_examples import ErrorExample, error_examples, error_responses
from app.openapi.objects import ref
from app.routing import Json, Route
from app.web import AUTHENTICATED, PROBLEM_TYPES, PUBLIC

_REFERENCE = re.compile(r'"#/components/schemas/(\w+)')
_PLACEHOLDER = re.compile(r"{(\w+)}")


def build_document(
    documented: DocumentedModel, routes: Iterable[Route], keys: ApiKeys, schemas: Json
) -> Json:
    """Return the document for a loaded model and the settings of the service.

    Args:
        documented: the loaded model and the settings.
        routes: all routes of the service.
        keys: the configured API keys.
        schemas: the JSON Schemas that the declarations refer to, by name.
    """
    model, outcome = documented.model, documented.schema.outcome
    examples = error_examples(documented)
    tags: dict[str, Json] = {}
    paths: Json = {}
    for route in routes:
        if protocol := route.protocol:
            url = f"/docs/{protocol.slug}"
            tags[protocol.name] = {"name": protocol.name, "externalDocs": {"url": url}}
        else:
            tags[route.tag] = {"name": route.tag}
            item = paths.setdefault(route.documented_path, {})
            item[route.method.lower()] = _operation(documented, route, keys, examples)
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
        "tags": list(tags.values()),
        "paths": paths,
        "components": {"schemas": _referenced(paths, schemas), **components()},
    }


def _operation(
    documented: DocumentedModel,
    route: Route,
    keys: ApiKeys,
    examples: dict[str, list[ErrorExample]],
) -> Json:
    responses = route.responses(documented) if callable(route.responses) else route.responses
    errors = error_responses(route, _error_codes(route, keys), examples)
    operation: Json = {
        "tags": [route.tag],
        "operationId": "_".join([route.method.lower(), *re.findall(r"[A-Za-z0-9]+", route.path)]),
        "summary": route.summary,
        "parameters": [*_path_parameters(route), ref("RequestId", "parameters")],
        "responses": _with_request_id({str(s): r for s, r in responses.items()} | errors),
    }
    if route.details:
        operation["description"] = route.details
    if route.body:
        operation["requestBody"] = route.body(documented)
    if keys.configured:
        scopes = [] if route.scope == AUTHENTICATED else [route.scope]
        security = [] if route.scope == PUBLIC else [{"bearer": scopes}, {"apiKey": scopes}]
        operation["security"] = security
    return operation


def _error_codes(route: Route, keys: ApiKeys) -> list[str]:
    """Return the codes of the errors that a route can respond with, in the order of the table."""
    codes = [*route.errors, "internal_error"]
    if keys.configured and route.scope != PUBLIC:
        codes += ["unauthenticated", *([] if route.scope == AUTHENTICATED else ["forbidden"])]
    return sorted(codes, key=list(PROBLEM_TYPES).index)


def _path_parameters(route: Route) -> Iterator[Json]:
    for name in _PLACEHOLDER.findall(route.documented_path):
        yield {"name": name, "in": "path", "required": True, "schema": route.placeholders[name]}


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
