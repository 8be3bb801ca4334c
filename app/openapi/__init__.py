"""The OpenAPI 3.1 document of the service, made from the loaded model.

document        the document, from the routes of the service
operations      descriptions of routes
components      shared components
struct_schemas  JSON Schemas of msgspec types
record_schema   the JSON Schema of a record
error_examples  an example of every problem type
description     the document of the loaded model, and its route
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
