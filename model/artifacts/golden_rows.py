"""Golden rows: records made from the schema, with which an artifact is verified on load."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from model.schema import Column, Schema

N_RANDOM_ROWS = 24
PROBABILITY_TOLERANCE = 1e-6
"""Largest allowed difference of a golden probability: the graph computes in single precision."""
LOG_ODDS_TOLERANCE = 1e-5
"""Largest allowed difference in log-odds, beyond :data:`PROBABILITY_TOLERANCE`."""
INTERVAL_TOLERANCE = 1e-5
"""Largest allowed difference of an interval's bound, as a probability."""


class GoldenRows(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows made from the schema, never copied from patients, and the graph's probabilities.

    Attributes:
        values: n rows of n_columns, missing as null.
        probabilities: n, one per row.
    """

    values: list[list[float | None]]
    probabilities: list[float]


def golden_values(schema: Schema) -> np.ndarray:
    """Return rows that cover the ranges and levels of every column of a schema.

    The rows are the example record; the example with one column changed, to the ends and the
    middle of its range, to each level, or to missing; and :data:`N_RANDOM_ROWS` rows in which all
    columns vary. No row is copied from a patient, and the same schema gives the same rows.

    Returns:
        float64 (n, n_columns), missing as NaN.
    """
    example = [column.example for column in schema.columns]
    rows = [example]
    for index, column in enumerate(schema.columns):
        rows += (
            [*example[:index], value, *example[index + 1 :]] for value in _extreme_values(column)
        )
    rng = np.random.default_rng(0)
    for _ in range(N_RANDOM_ROWS):
        rows.append([float(rng.choice(_extreme_values(column))) for column in schema.columns])
    return np.array(rows, dtype=np.float64)


def _extreme_values(column: Column) -> Sequence[float]:
    values: list[float] = [float(code) for code in column.codes]
    if column.minimum is not None and column.maximum is not None:
        values = [column.minimum, (column.minimum + column.maximum) / 2, column.maximum]
    return values if column.required else [*values, math.nan]


def max_difference(actual: np.ndarray, expected: np.ndarray | Sequence[Any]) -> float:
    """Return the largest absolute difference of two arrays of the same shape.

    The result is NaN if an array contains NaN, so test ``not difference <= tolerance``.

    >>> max_difference(np.array([0.25, 0.5]), [0.25, 0.75])
    0.25
    >>> max_difference(np.array([0.25, np.nan]), [0.25, 0.75])
    nan
    """
    return float(np.abs(actual - np.asarray(expected)).max())
