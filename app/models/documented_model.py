"""Example records of a loaded model and its responses to them, for the documentation."""

from __future__ import annotations

from typing import Any

import msgspec

from app.models.loaded_model import LoadedModel
from app.settings import Settings
from model.records import RecordValidator
from model.schema import Column, Schema


class DocumentedModel:
    """A loaded model and the settings it is served with, as the source of the examples.

    The responses in the examples are predictions of the model.

    Attributes:
        record: an example record, with level names where the schema has them.
        coded: the same record with level codes.
        with_missing: the same record with null for every column that may be missing.
        validator: the validator of records, with the limits of the settings.
    """

    def __init__(self, model: LoadedModel, settings: Settings) -> None:
        self.model = model
        self.schema = model.schema
        self.settings = settings
        self.record: dict[str, Any] = dict(example_record(model.schema))
        self.coded: dict[str, Any] = {
            column.name: _plain_number(column.example) for column in model.schema.columns
        }
        self.with_missing: dict[str, Any] = {
            column.name: self.record[column.name] if column.required else None
            for column in model.schema.columns
        }
        self.validator = RecordValidator(model.schema, max_records=settings.max_records)

    def predict_response(
        self, *records: dict[str, Any], explain: bool = False, interval: bool = False
    ) -> dict[str, Any]:
        """Return the response of ``/predict`` to records.

        Raises:
            ExplanationUnavailable, IntervalUnavailable: the version does not support the option.
        """
        values = self.validator.values(records)
        scores = self.model.scorer.score(values)
        explanations = self.model.explain(values) if explain else None
        intervals = self.model.intervals(values, scores) if interval else None
        response = self.model.writer.write(scores, explanations, intervals)
        content: dict[str, Any] = msgspec.json.decode(response)
        return content


def example_record(schema: Schema) -> dict[str, float | str]:
    """Return an example record, with level names instead of codes where the schema has names."""
    return {column.name: example_value(column) for column in schema.columns}


def example_value(column: Column) -> float | str:
    """Return the example of a column, as the name of a level if it has one."""
    for level in column.levels:
        if level.code == column.example and level.aliases:
            return level.aliases[0]
    return _plain_number(column.example)


def _plain_number(number: float) -> float:
    return int(number) if number.is_integer() else number
