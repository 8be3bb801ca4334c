"""GoldenRows rows: records made from the schema alone, with which an artifact proves itself on load."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from model.schema import Column, Schema


class GoldenRows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows made from the schema, never copied from patients, and the graph's answers.

    Attributes:
        values: n rows of n_columns, missing as null.
        probabilities: n.
    """

    values: list[list[float | None]]
    probabilities: list[float]


N_RANDOM_ROWS = 24


def golden_values(schema: Schema) -> np.ndarray:
    """Rows that visit every corner of the schema, the same for the same schema.

    The example record; the example with each column in turn at its ends, at each level and
    missing; and rows in which everything varies at once. No patient is among them.

    Returns:
        float32 (n, n_columns), missing as NaN.
    """
    example = [column.example for column in schema.columns]
    rows = [example]
    for index, column in enumerate(schema.columns):
        rows += (
            [*example[:index], corner, *example[index + 1 :]] for corner in _extreme_values(column)
        )
    draw = np.random.default_rng(0)
    for _ in range(N_RANDOM_ROWS):
        rows.append([float(draw.choice(_extreme_values(column))) for column in schema.columns])
    return np.array(rows, dtype=np.float32)


def _extreme_values(column: Column) -> Sequence[float]:
    corners: list[float] = [float(code) for code in column.codes]
    if column.minimum is not None and column.maximum is not None:
        corners = [column.minimum, (column.minimum + column.maximum) / 2, column.maximum]
    return corners if column.required else [*corners, math.nan]
