"""Functions that build OpenAPI objects and JSON Schemas, and groups of error codes."""

from __future__ import annotations

from typing import Any

from app.routing import Json

JSON = "application/json"
MODEL_ERRORS = ("not_ready",)
BODY_ERRORS = (
    *("empty_body", "not_utf8", "broken_json", "too_deep", "bad_request"),
    *("body_too_large", "unsupported_media_type"),
)
RECORD_ERRORS = (*BODY_ERRORS, "invalid_records")


def ref(name: str, kind: str = "schemas") -> Json:
    """Return a Reference Object to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def media(schema: Json, **examples: Any) -> Json:
    """Return a Media Type Object; an example's name, without underscores, is its summary."""
    media_type: Json = {"schema": schema}
    if examples:
        media_type["examples"] = {
            name: {"summary": name.replace("_", " "), "value": value}
            for name, value in examples.items()
        }
    return media_type


def body(schema: Json, description: str = "", /, **examples: Any) -> Json:
    """Return the Request Body Object of a required JSON body."""
    request_body: Json = {"required": True, "content": {JSON: media(schema, **examples)}}
    return request_body | ({"description": description} if description else {})


def response(description: str, schema: Json, media_type: str = JSON, /, **examples: Any) -> Json:
    """Return a Response Object with a body of one media type."""
    return {"description": description, "content": {media_type: media(schema, **examples)}}


def constant_response(description: str, **values: Any) -> Json:
    """Return a Response Object whose JSON body is always the same."""
    schema = object_(**{name: {"const": value} for name, value in values.items()})
    return response(description, schema, response=values)


def object_(**properties: Json) -> Json:
    """Return the schema of an object that requires all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


def with_optional(schema: Json, **properties: Json) -> Json:
    """Return the schema of an object with these optional properties added."""
    return {**schema, "properties": {**schema["properties"], **properties}}


def array(items: Json, **limits: int) -> Json:
    """Return the schema of an array, with limits such as ``minItems``."""
    return {"type": "array", **limits, "items": items}
