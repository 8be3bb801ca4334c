"""The JSON Schema of a record, derived from the schema of the table."""

from __future__ import annotations

from app.models import example_record, example_value
from app.routing import Json
from model.schema import Column, Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def record_json_schema(schema: Schema) -> Json:
    """Return the JSON Schema (draft 2020-12) of one record.

    ``/predict`` accepts every record that the schema allows. The service also ignores the case of
    level names, which the schema does not express.
    """
    return {
        "$schema": DIALECT,
        "title": schema.title,
        "description": f"{schema.description} {schema.outcome.caution}",
        "type": "object",
        "properties": {column.name: _column_schema(column) for column in schema.columns},
        "required": list(schema.column_names),
        "additionalProperties": False,
        "examples": [example_record(schema)],
    }


def _column_schema(column: Column) -> Json:
    column_schema: Json = {"title": column.title, "description": column.help}
    if column.kind == "number":
        column_schema["type"] = "number" if column.required else ["number", "null"]
        column_schema |= {"minimum": column.minimum, "maximum": column.maximum}
        if column.unit:
            column_schema["x-unit"] = column.unit
    else:
        column_schema["enum"] = [*column.allowed, *([] if column.required else [None])]
        column_schema["x-levels"] = {str(level.code): level.label for level in column.levels}
    return column_schema | {"examples": [example_value(column)]}
