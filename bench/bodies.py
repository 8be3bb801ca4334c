"""The bodies that the contestants are sent: the bundled table's records, in each server's format."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from model.schema import Column, Schema

Record = dict[str, float | str | None]
BodyMaker = Callable[[Schema, Sequence[Record]], bytes]


def records_of(schema: Schema, table: Path, n_records: int) -> list[Record]:
    """Records of a table over and over, until there are enough.

    Words where the schema has them and codes elsewhere, None for what is missing. Different
    records, so that no parser gains from one that it has just seen.
    """
    with table.open(newline="", encoding="utf-8") as file:
        rows = [
            {column.name: _read(column, row[column.name]) for column in schema.columns}
            for row in csv.DictReader(file)
        ]
    return list(itertools.islice(itertools.cycle(rows), n_records))


def _read(column: Column, cell: str) -> float | str | None:
    if not cell:
        return None
    number = float(cell)
    for level in column.levels:
        if level.code == number and level.aliases:
            return level.aliases[0]
    return int(number) if number == int(number) else number


def named(schema: Schema, records: Sequence[Record]) -> bytes:
    """One record as an object, several as a list of objects."""
    return json.dumps(records[0] if len(records) == 1 else records).encode()


def training_frame(schema: Schema, records: Sequence[Record]) -> bytes:
    """One record in the coding of the frame that trained: a level by its feature's name."""
    frame: dict[str, float | str] = {}
    for column, code in zip(schema.columns, coded(schema, records[0]), strict=True):
        levels = {level.code: level.feature_name for level in column.levels}
        frame[column.name] = levels[int(code)] if column.kind == "category" else code
    return json.dumps(frame).encode()


def tensor_a_column(schema: Schema, records: Sequence[Record]) -> bytes:
    """Open Inference V2, one tensor a column, words as BYTES."""
    inputs = []
    for column in schema.columns:
        values = [record[column.name] for record in records]
        worded = isinstance(values[0], str)
        inputs.append(
            {
                "name": column.name,
                "shape": [len(values), 1],
                "datatype": "BYTES" if worded else "FP64",
                "data": values,
            }
        )
    return json.dumps({"inputs": inputs}).encode()


def one_matrix(schema: Schema, records: Sequence[Record]) -> bytes:
    """Open Inference V2, one matrix of codes, a row a record."""
    values = [coded(schema, record) for record in records]
    tensor = {
        "name": "values",
        "shape": [len(values), len(values[0])],
        "datatype": "FP32",
        "data": list(itertools.chain(*values)),
    }
    return json.dumps({"inputs": [tensor]}).encode()


def dataframe_records(schema: Schema, records: Sequence[Record]) -> bytes:
    """MLflow's form for named records."""
    return json.dumps({"dataframe_records": records}).encode()


def coded(schema: Schema, record: Record) -> list[float]:
    """A complete record's values as the numbers that stand for them in the table."""
    return [_code(column, record[column.name]) for column in schema.columns]


def _code(column: Column, value: float | str | None) -> float:
    """A value as the number that stands for it in the table."""
    if value is None:
        raise ValueError(f"{column.name}: this form is only made of complete records")
    if isinstance(value, str):
        return next(level.code for level in column.levels if value in level.aliases)
    return value
