"""The JSON Schema of a record, derived from the table's schema."""

from __future__ import annotations

from typing import Any

from model.schema import Column, Schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def record_json_schema(schema: Schema) -> dict[str, Any]:
    """JSON Schema (2020-12) of one record.

    What it allows, ``/predict`` accepts. The service is a little more generous: it takes words in
    any case.
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


def example_record(schema: Schema) -> dict[str, float | str]:
    """A record to try the service with: words where the schema has them."""
    return {column.name: _example(column) for column in schema.columns}


def _column_schema(column: Column) -> dict[str, Any]:
    described: dict[str, Any] = {"title": column.title, "description": column.help}
    if column.kind == "number":
        described["type"] = "number" if column.required else ["number", "null"]
        described |= {"minimum": column.minimum, "maximum": column.maximum}
        if column.unit:
            described["x-unit"] = column.unit
    else:
        described["enum"] = [*column.allowed, *([] if column.required else [None])]
        described["x-levels"] = {str(level.code): level.label for level in column.levels}
    return described | {"examples": [_example(column)]}


def _example(column: Column) -> float | str:
    for level in column.levels:
        if level.code == column.example and level.aliases:
            return level.aliases[0]
    return int(column.example) if column.example == int(column.example) else column.example
