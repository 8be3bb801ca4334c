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
    NEEDS_MODEL,
    READS_RECORDS,
    Group,
    Json,
    Operation,
    Subject,
    a_list,
    an_object,
    answer,
    constants,
    media,
    optionally,
    ref,
)
from app.openapi.record_schema import example_record, record_schema
from app.openapi.struct_schemas import derived

__all__ = [
    "JSON",
    "NEEDS_MODEL",
    "READS_RECORDS",
    "Description",
    "Group",
    "Json",
    "Operation",
    "Subject",
    "a_list",
    "an_object",
    "answer",
    "constants",
    "derived",
    "example_record",
    "media",
    "optionally",
    "record_schema",
    "ref",
    "register_openapi",
]
