"""Request bodies: records of the bundled table in the format of each server."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from model.schema import Column, Schema

Record = dict[str, float | str | None]
BodyMaker = Callable[[Schema, Sequence[Record]], bytes]


def read_records(schema: Schema, table: Path, n_records: int) -> list[Record]:
    """Return records of a table, repeated until there are enough.

    A level is its first alias if the schema has one, otherwise its code. A missing value is None.
    Consecutive records differ, so a parser cannot benefit from caching the last one.
    """
    with table.open(newline="", encoding="utf-8") as file:
        rows = [
            {column.name: _parse_cell(column, row[column.name]) for column in schema.columns}
            for row in csv.DictReader(file)
        ]
    return list(itertools.islice(itertools.cycle(rows), n_records))


def _parse_cell(column: Column, cell: str) -> float | str | None:
    if not cell:
        return None
    number = float(cell)
    for level in column.levels:
        if level.code == number and level.aliases:
            return level.aliases[0]
    return int(number) if number == int(number) else number


def json_records(schema: Schema, records: Sequence[Record]) -> bytes:
    """Return one record as a JSON object, several as a list of objects."""
    return json.dumps(records[0] if len(records) == 1 else records).encode()


def training_frame(schema: Schema, records: Sequence[Record]) -> bytes:
    """Return one record as the training frame encodes it: a category by its feature's name."""
    row: dict[str, float | str] = {}
    for column, code in zip(schema.columns, encode_record(schema, records[0]), strict=True):
        names = {level.code: level.feature_name for level in column.levels}
        row[column.name] = names[int(code)] if column.kind == "category" else code
    return json.dumps(row).encode()


def column_tensors(schema: Schema, records: Sequence[Record]) -> bytes:
    """Return an Open Inference V2 request with one tensor per column; strings as BYTES."""
    inputs = []
    for column in schema.columns:
        values = [record[column.name] for record in records]
        inputs.append(
            {
                "name": column.name,
                "shape": [len(values), 1],
                "datatype": "BYTES" if isinstance(values[0], str) else "FP64",
                "data": values,
            }
        )
    return json.dumps({"inputs": inputs}).encode()


def matrix_tensor(schema: Schema, records: Sequence[Record]) -> bytes:
    """Return an Open Inference V2 request with one matrix of codes, one row per record."""
    values = [encode_record(schema, record) for record in records]
    tensor = {
        "name": "values",
        "shape": [len(values), len(values[0])],
        "datatype": "FP32",
        "data": list(itertools.chain(*values)),
    }
    return json.dumps({"inputs": [tensor]}).encode()


def dataframe_records(schema: Schema, records: Sequence[Record]) -> bytes:
    """Return a request in MLflow's ``dataframe_records`` format."""
    return json.dumps({"dataframe_records": records}).encode()


def encode_record(schema: Schema, record: Record) -> list[float]:
    """Return the values of a complete record as numbers, a level as its code in the table.

    Raises:
        ValueError: a value is missing.
    """
    return [_encode_value(column, record[column.name]) for column in schema.columns]


def _encode_value(column: Column, value: float | str | None) -> float:
    if value is None:
        raise ValueError(f"{column.name}: missing; this format needs complete records")
    if isinstance(value, str):
        return next(level.code for level in column.levels if value in level.aliases)
    return value
