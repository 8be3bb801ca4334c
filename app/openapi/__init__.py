"""The OpenAPI 3.1 document of the service, built from the loaded model.

document        the whole document, from the routes of the service
operations      operations, and helpers that build parts of them
components      shared headers, parameters and security schemes
struct_schemas  JSON Schemas of msgspec types
record_schema   the JSON Schema of a record
error_examples  examples of every problem type
description     the cached document of the loaded model, and its route
"""

from app.openapi.description import Description, register_openapi
from app.openapi.operations import (
    JSON,
    MODEL_ERRORS,
    RECORD_ERRORS,
    DocumentedModel,
    Json,
    Operation,
    RouteGroup,
    array,
    constant_response,
    media,
    object_,
    ref,
    response,
    with_optional,
)
from app.openapi.record_schema import example_record, record_json_schema
from app.openapi.struct_schemas import derive_schemas

__all__ = [
    "JSON",
    "MODEL_ERRORS",
    "RECORD_ERRORS",
    "Description",
    "DocumentedModel",
    "Json",
    "Operation",
    "RouteGroup",
    "array",
    "constant_response",
    "derive_schemas",
    "example_record",
    "media",
    "object_",
    "record_json_schema",
    "ref",
    "register_openapi",
    "response",
    "with_optional",
]
