"""The values for the templates, from the OpenAPI document and the declarations of the routes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec

from app.models import DocumentedModel
from app.routing import ForeignProtocol, Json, Route
from app.web import AUTHENTICATED, PUBLIC
from model.schema import Column, Schema


class ColumnView(msgspec.Struct, frozen=True):
    """A column of a record.

    Attributes:
        allowed: the allowed values as text: a range, or one text per level.
    """

    name: str
    title: str
    help: str
    allowed: tuple[str, ...]
    required: bool
    example: Any


class OperationView(msgspec.Struct, frozen=True):
    """An operation.

    Attributes:
        id: the anchor on the page.
        keys: the required API key as text; "" if no keys are configured.
        placeholders: the allowed values of each placeholder of the path, as text.
        body_note: the description of the request body.
        bodies: the request bodies, by media type.
        responses: the responses, by status.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    keys: str
    placeholders: Mapping[str, str]
    body_note: str
    bodies: list[Json]
    responses: list[Json]


class HandlerView(msgspec.Struct, frozen=True):
    """The routes of one handler.

    Attributes:
        paths: the method and the path of each route.
        key: the scope of the required API key; ``none`` or ``any``.
    """

    paths: list[tuple[str, str]]
    summary: str
    key: str


def build_view(document: Json, schema: Schema) -> Json:
    """Return the values for the template of ``/docs``."""
    protocols = {
        tag["name"]: tag["externalDocs"]["url"] for tag in document["tags"] if "externalDocs" in tag
    }
    groups: dict[str, list[OperationView]] = {
        tag["name"]: [] for tag in document["tags"] if tag["name"] not in protocols
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            view = _operation_view(method.upper(), path, operation)
            groups[operation["tags"][0]].append(view)
    record = document["components"]["schemas"]["Record"]
    example = record["examples"][0]
    return {
        "info": document["info"],
        "caution": schema.outcome.caution,
        "meaning": schema.outcome.meaning,
        "rows": [_column_view(column, example[column.name]) for column in schema.columns],
        "example": example,
        "shell_example": shlex.quote(json.dumps(example)),
        "request_id": document["components"]["parameters"]["RequestId"]["description"],
        "groups": groups,
        "protocols": protocols,
        "schemas": document["components"]["schemas"],
    }


def build_protocol_view(
    protocol: ForeignProtocol, routes: Iterable[Route], documented: DocumentedModel
) -> Json:
    """Return the values for the template of a protocol's page.

    Args:
        routes: all routes of the service.
    """
    own = (route for route in routes if route.protocol is protocol)
    example_path, example = protocol.example(documented)
    return {
        "protocol": protocol,
        "handlers": [
            _handler_view(list(group)) for _, group in groupby(own, attrgetter("handler"))
        ],
        "example_path": example_path,
        "shell_example": shlex.quote(json.dumps(example)),
    }


def _handler_view(routes: list[Route]) -> HandlerView:
    key = {PUBLIC: "none", AUTHENTICATED: "any"}.get(routes[0].scope, routes[0].scope)
    paths = [(route.method, route.documented_path) for route in routes]
    return HandlerView(paths, routes[0].summary, key)


def _column_view(column: Column, example: Any) -> ColumnView:
    if column.kind == "number":
        allowed: tuple[str, ...] = (
            f"{column.minimum:g} to {column.maximum:g} {column.unit}".strip(),
        )
    else:
        allowed = tuple(
            " or ".join([str(level.code), *level.aliases])
            + ("" if level.label.lower() in level.aliases else f": {level.label}")
            for level in column.levels
        )
    return ColumnView(
        column.name,
        column.title,
        column.help,
        allowed,
        column.required,
        example,
    )


def _operation_view(method: str, path: str, operation: Json) -> OperationView:
    body = operation.get("requestBody", {})
    placeholders = {
        parameter["name"]: _allowed_values(parameter["schema"])
        for parameter in operation["parameters"]
        if "$ref" not in parameter
    }
    responses = [
        {
            "status": status,
            "phrase": HTTPStatus(int(status)).phrase,
            "description": response["description"],
            "contents": list(_media(response.get("content", {}))),
        }
        for status, response in operation["responses"].items()
    ]
    return OperationView(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        keys=_key_requirement(operation),
        placeholders=placeholders,
        body_note=body.get("description", ""),
        bodies=list(_media(body.get("content", {}))),
        responses=responses,
    )


def _key_requirement(operation: Json) -> str:
    """Return the required key as text; "" if no keys are configured."""
    if "security" not in operation:
        return ""
    if not operation["security"]:
        return "requires no API key"
    (scopes,) = operation["security"][0].values()
    return f"requires an API key with the scope {scopes[0]}" if scopes else "requires an API key"


def _media(content: Json) -> Iterator[Json]:
    for media_type, media in content.items():
        yield {
            "media_type": media_type,
            "schemas": sorted(_referenced_schemas(media.get("schema", {}))),
            "examples": list(media.get("examples", {}).values()),
        }


def _referenced_schemas(schema: Any) -> set[str]:
    """Return the names of the schemas that a schema refers to directly."""
    if isinstance(schema, list):
        return set().union(*map(_referenced_schemas, schema))
    if not isinstance(schema, dict):
        return set()
    if "$ref" in schema:
        return {schema["$ref"].split("/")[3]}
    return set().union(*map(_referenced_schemas, schema.values()))


def _allowed_values(schema: Json) -> str:
    return " or ".join(map(str, schema["enum"][:4])) + (" …" if schema["enum"][4:] else "")
