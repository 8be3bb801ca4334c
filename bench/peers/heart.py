"""Columns, codes, ranges and the ONNX graph, for the servers of all peers.

Imports only NumPy and ONNX Runtime, as a user of the framework would, and nothing of this project:
a peer's environment contains only the peer. The environment variable ``GRAPH`` is the path of the
artifact's ``model.onnx``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

CODES: dict[str, dict[str, float]] = {
    "sex": {"female": 0, "male": 1},
    "cp": {"typical angina": 1, "atypical angina": 2, "non-anginal pain": 3, "asymptomatic": 4},
    "fbs": {"no": 0, "yes": 1},
    "restecg": {"normal": 0, "st-t abnormality": 1, "left ventricular hypertrophy": 2},
    "exang": {"no": 0, "yes": 1},
    "slope": {"upsloping": 1, "flat": 2, "downsloping": 3},
    "thal": {"normal": 3, "fixed": 6, "reversible": 7},
}
RANGES: dict[str, tuple[float, float]] = {
    "age": (1, 120),
    "trestbps": (50, 300),
    "chol": (50, 1000),
    "thalach": (30, 250),
    "oldpeak": (-10, 15),
    "ca": (0, 3),
}
COLUMNS = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"),
    *("thalach", "exang", "oldpeak", "slope", "ca", "thal"),
)

_BOUNDS = [
    RANGES.get(name) or (min(CODES[name].values()), max(CODES[name].values())) for name in COLUMNS
]


def encode_record(record: Mapping[str, Any]) -> list[float]:
    """Return a record's 13 values in column order, missing as NaN.

    Raises:
        KeyError: a column is absent, or its level is unknown.
    """
    values = []
    for name in COLUMNS:
        value = record[name]
        if value is None:
            values.append(float("nan"))
        else:
            values.append(CODES[name][value] if name in CODES else float(value))
    return values


def check_ranges(row: Sequence[float]) -> None:
    """Validate the ranges, for frameworks that do not.

    Raises:
        ValueError: a value is outside its range. NaN, which means missing, is valid.
    """
    for name, value, (low, high) in zip(COLUMNS, row, _BOUNDS, strict=True):
        if value < low or value > high:
            raise ValueError(f"{name} is out of range")


def open_graph(path: Path | None = None) -> Callable[[Sequence[Sequence[float]]], list[float]]:
    """Return a function from rows of 13 values to probabilities that runs on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        path or os.environ["GRAPH"], options, providers=["CPUExecutionProvider"]
    )

    def score(rows: Sequence[Sequence[float]]) -> list[float]:
        values = np.asarray(rows, dtype=np.float64)
        return session.run(None, {"values": values})[0][:, 0].tolist()

    return score
