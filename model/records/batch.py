"""The validated records of one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

ColumnValues = np.ndarray | Sequence[Any]
"""A column as it was given: numbers with NaN for missing, or any values with None for it."""


OPTIONS = ("explain", "interval")
"""What may stand beside ``"instances"``, true or false."""


class Batch(msgspec.Struct, frozen=True, eq=False):
    """The validated records of one request.

    Attributes:
        values: float32 (n, n_columns), one column per schema column, in schema order: numbers in
            the schema's unit, levels as their code, missing as NaN. Row i is record i.
        path: where the records stood: None for a single record, ``""`` or ``"/instances"``.
        explain: whether ``"explain": true`` stood beside ``"instances"``.
        interval: likewise.
    """

    values: np.ndarray
    path: str | None
    explain: bool = False
    interval: bool = False
