"""The validated records of one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

ColumnValues = np.ndarray | Sequence[Any]
"""The values of a column before validation: an array of numbers with NaN for missing, or a sequence
of any values with None for missing."""
OPTIONS = ("explain", "interval")
"""Keys that a body may have next to ``"instances"``, each true or false."""


class Batch(msgspec.Struct, frozen=True, eq=False):
    """The validated records of one request.

    Attributes:
        values: float64 (n, n_columns), one column per schema column, in schema order: numbers in
            the schema's unit, levels as their code, missing as NaN. Row i is record i.
        path: the location of the records in the body: ``""``, ``"/instances"``, or None for a
            single record.
        explain: whether the body has ``"explain": true`` next to ``"instances"``.
        interval: whether it has ``"interval": true``.
    """

    values: np.ndarray
    path: str | None
    explain: bool = False
    interval: bool = False
