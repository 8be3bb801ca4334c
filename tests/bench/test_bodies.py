"""Every contestant is asked about the same record, each in its own format."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.bodies import (
    Record,
    coded,
    dataframe_records,
    named,
    one_matrix,
    records_of,
    tensor_a_column,
    training_frame,
)
from bench.peers import heart
from model.records import RecordValidator
from model.schema import Schema
from pipelines.data import Table
from tests.conftest import ROOT


@pytest.fixture
def records(schema: Schema) -> list[Record]:
    return records_of(schema, ROOT / "data/cleveland.csv", 10_000)


def test_the_service_reads_all_ten_thousand_as_the_table_holds_them(
    schema: Schema, records: list[Record], table: Table
) -> None:
    reader = RecordValidator(schema, max_records=10_000)
    values = reader.validate_json(named(schema, records)).values
    assert len(values) == 10_000
    again = np.concatenate([table.values] * 34)[:10_000]
    np.testing.assert_array_equal(values, again.astype(np.float32))
    one = reader.validate_json(named(schema, records[:1])).values
    np.testing.assert_array_equal(one, values[:1])


def test_words_are_words(records: list[Record]) -> None:
    assert records[0] | {"ca": 0, "age": 63} == records[0]
    assert {type(records[0][name]) for name in heart.CODES} == {str}


def test_every_format_holds_the_first_record(
    schema: Schema, records: list[Record], table: Table
) -> None:
    values = table.values[0].tolist()
    assert coded(schema, records[0]) == heart.coded(records[0]) == values
    first = records[:1]
    matrix = json.loads(one_matrix(schema, first))["inputs"]
    assert [(t["shape"], t["data"]) for t in matrix] == [([1, 13], values)]
    tensors = json.loads(tensor_a_column(schema, first))["inputs"]
    assert {tensor["name"]: tensor["data"] for tensor in tensors} == {
        name: [value] for name, value in records[0].items()
    }
    assert json.loads(dataframe_records(schema, first)) == {"dataframe_records": first}
    frame = table.frame.iloc[0]
    sent = json.loads(training_frame(schema, first))
    assert list(sent) == list(schema.column_names)
    assert sent == dict(frame)


def test_the_peers_know_the_columns_of_the_schema(schema: Schema) -> None:
    assert schema.column_names == heart.COLUMNS
    for column in schema.columns:
        words = {word: level.code for level in column.levels for word in level.aliases}
        assert heart.CODES.get(column.name, {}) == words
        if column.kind == "number":
            assert heart.RANGES[column.name] == (column.minimum, column.maximum)


def test_the_peers_refuse_what_is_out_of_range(records: list[Record]) -> None:
    heart.check_ranges(heart.coded({**records[0], "chol": None}))
    for name, value in (("age", 121), ("oldpeak", -10.1), ("ca", 4)):
        with pytest.raises(ValueError, match=name):
            heart.check_ranges(heart.coded({**records[0], name: value}))
    with pytest.raises(KeyError):
        heart.coded({**records[0], "thal": "absent"})
