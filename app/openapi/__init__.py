"""The OpenAPI 3.1 document of the service, built from the loaded model.

document        the whole document, from the declarations of the routes
objects         functions that build OpenAPI objects and JSON Schemas
components      shared headers, parameters and security schemes
struct_schemas  JSON Schemas of msgspec types
record_schema   the JSON Schema of a record
error_examples  examples of every problem type
"""

from app.openapi.document import build_document
from app.openapi.objects import (
    MODEL_ERRORS,
    RECORD_ERRORS,
    array,
    body,
    constant_response,
    ref,
    response,
    with_optional,
)
from app.openapi.record_schema import record_json_schema
from app.openapi.struct_schemas import derive_schemas

__all__ = [
    "MODEL_ERRORS",
    "RECORD_ERRORS",
    "array",
    "body",
    "build_document",
    "constant_response",
    "derive_schemas",
    "record_json_schema",
    "ref",
    "response",
    "with_optional",
]
