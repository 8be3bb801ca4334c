"""Golden rows: records made from the schema, with which an artifact is verified on load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from model.schema import Column, Schema

PROBABILITY_TOLERANCE = 1e-6
"""Largest allowed difference of a golden probability: rounding of the graph's single precision."""
LOG_ODDS_TOLERANCE = 1e-5
"""Largest allowed difference in log-odds, beyond :data:`PROBABILITY_TOLERANCE`."""
INTERVAL_TOLERANCE = 1e-5
"""Largest allowed difference of an interval's bound, as a probability."""


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


def max_difference(actual: np.ndarray, expected: np.ndarray | Sequence[Any]) -> float:
    """Return the largest absolute difference of two arrays of the same shape.

    NaN if either array holds one, so callers test ``not difference <= tolerance``.

    >>> max_difference(np.array([0.25, 0.5]), [0.25, 0.75])
    0.25
    """
    return float(np.abs(actual - np.asarray(expected)).max())
