"""The values for the documentation template, extracted from the OpenAPI document."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from model.schema import Column, Schema

Json = dict[str, Any]


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
        parameters: the parameters, without the header that every operation has, and with the
            allowed values as text.
        bodies: the request bodies, by media type.
        responses: the responses, by status.
    """

    id: str
    method: str
    path: str
    summary: str
    description: str
    keys: str
    parameters: list[Json]
    bodies: list[Json]
    responses: list[Json]


def build_view(document: Json, schema: Schema) -> Json:
    """Return the values for the template of the page."""
    groups: dict[str, list[OperationView]] = {tag["name"]: [] for tag in document["tags"]}
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
        "schemas": document["components"]["schemas"],
    }


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
    parameters = [p for p in operation["parameters"] if "$ref" not in p]
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
        parameters=[{**p, "allowed": _allowed_values(p["schema"])} for p in parameters],
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
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"][:4])) + (" …" if schema["enum"][4:] else "")
    return schema.get("pattern") or "text"
