"""What the manifest says of the rows and the libraries that a version was trained with."""

from __future__ import annotations

import importlib.metadata
import platform

import keras
import numpy as np

from model.manifest import TrainingRange
from pipelines.tables import Table

LIBRARIES = (
    "keras", "tensorflow", "jax", "torch", "numpy", "pandas", "scikit-learn", "onnx", "onnxruntime"
)  # fmt: skip


def training_ranges(table: Table, rows: np.ndarray) -> dict[str, TrainingRange]:
    """By column, what training saw in these rows."""
    ranges = {}
    for index, column in enumerate(table.schema.columns):
        values = table.values[rows, index]
        known = values[~np.isnan(values)]
        missing = len(values) - len(known)
        if column.levels:
            seen = tuple(int(code) for code in np.unique(known))
            ranges[column.name] = TrainingRange(codes=seen, missing=missing)
        elif len(known):
            low, high = float(known.min()), float(known.max())
            ranges[column.name] = TrainingRange(minimum=low, maximum=high, missing=missing)
        else:
            ranges[column.name] = TrainingRange(missing=missing)
    return ranges


def libraries() -> dict[str, str]:
    """The versions of what trained, as far as it is installed."""
    found = {"python": platform.python_version(), "keras backend": keras.config.backend()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
