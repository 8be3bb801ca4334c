"""Request bodies: the same records in the format of each server."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.bodies import (
    Record,
    column_tensors,
    dataframe_records,
    encode_record,
    json_records,
    matrix_tensor,
    read_records,
    training_frame,
)
from bench.peers import heart
from model.records import RecordValidator
from model.schema import Schema
from pipelines.data import Table
from tests.conftest import ROOT


@pytest.fixture
def records(schema: Schema) -> list[Record]:
    return read_records(schema, ROOT / "data/cleveland.csv", 10_000)


def test_the_service_reads_ten_thousand_records_like_the_table(
    schema: Schema, records: list[Record], table: Table
) -> None:
    validator = RecordValidator(schema, max_records=10_000)
    values = validator.validate_json(json_records(schema, records)).values
    assert len(values) == 10_000
    expected = np.concatenate([table.values] * 34)[:10_000]
    np.testing.assert_array_equal(values, expected)
    first = validator.validate_json(json_records(schema, records[:1])).values
    np.testing.assert_array_equal(first, values[:1])


def test_levels_are_strings(records: list[Record]) -> None:
    assert records[0] | {"ca": 0, "age": 63} == records[0]
    assert {type(records[0][name]) for name in heart.CODES} == {str}


def test_every_format_holds_the_first_record(
    schema: Schema, records: list[Record], table: Table
) -> None:
    values = table.values[0].tolist()
    assert encode_record(schema, records[0]) == heart.encode_record(records[0]) == values
    first = records[:1]
    matrix = json.loads(matrix_tensor(schema, first))["inputs"]
    assert [(t["shape"], t["data"]) for t in matrix] == [([1, 13], values)]
    tensors = json.loads(column_tensors(schema, first))["inputs"]
    assert {tensor["name"]: tensor["data"] for tensor in tensors} == {
        name: [value] for name, value in records[0].items()
    }
    assert json.loads(dataframe_records(schema, first)) == {"dataframe_records": first}
    row = json.loads(training_frame(schema, first))
    assert list(row) == list(schema.column_names)
    assert row == dict(table.frame.iloc[0])


def test_the_peers_declare_the_columns_of_the_schema(schema: Schema) -> None:
    assert schema.column_names == heart.COLUMNS
    for column in schema.columns:
        codes = {alias: level.code for level in column.levels for alias in level.aliases}
        assert heart.CODES.get(column.name, {}) == codes
        if column.kind == "number":
            assert heart.RANGES[column.name] == (column.minimum, column.maximum)


def test_the_peers_reject_values_out_of_range_and_unknown_levels(records: list[Record]) -> None:
    heart.check_ranges(heart.encode_record({**records[0], "chol": None}))
    for name, value in (("age", 121), ("oldpeak", -10.1), ("ca", 4)):
        with pytest.raises(ValueError, match=name):
            heart.check_ranges(heart.encode_record({**records[0], name: value}))
    with pytest.raises(KeyError):
        heart.encode_record({**records[0], "thal": "absent"})
