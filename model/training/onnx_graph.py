"""Preprocessing and network as one ONNX graph, from the values of a record to a probability.

The service runs this graph. It is built from the statistics of the fitted preprocessing and the
saved Keras weights, so training and serving cannot diverge.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from model.features import Encoding


class EncodingLayer(keras.layers.Layer):
    """The fitted preprocessing as a layer, equivalent to the fitted ``ColumnTransformer``.

    Computes on the transposed table, where ONNX Runtime broadcasts over long rows.

    **Shape**: float32 (n, n_columns), missing as NaN → float32 (n, n_features).
    """

    def __init__(self, encoding: Encoding) -> None:
        super().__init__(name="encode")
        self.column_indices = np.array(encoding.columns, dtype=np.int32)
        self.means, self.scales = _column_vector(encoding.means), _column_vector(encoding.scales)
        self.codes, self.fills = _column_vector(encoding.codes), _column_vector(encoding.fills)

    def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """Encode values as features, with operations that every Keras backend can export."""
        raw = ops.take(ops.transpose(values), self.column_indices, axis=0)  # (n_features, n)
        n_standardised = len(self.means)
        # ops.subtract and ops.divide, not - and /: on PyTorch an arithmetic operator between a
        # tensor and a NumPy array is not traced, and its result becomes a constant of the graph.
        standardised = ops.divide(ops.subtract(raw[:n_standardised], self.means), self.scales)
        one_hot = ops.cast(ops.equal(raw[n_standardised:], self.codes), "float32")
        features = ops.concatenate([standardised, one_hot], axis=0)
        return ops.transpose(ops.where(ops.isnan(raw), self.fills, features))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the features: (n, n_columns) → (n, n_features)."""
        return (input_shape[0], len(self.column_indices))


def join_encoding(encoding: Encoding, network: keras.Model) -> keras.Model:
    """Return preprocessing and network as one Keras model.

    **Shape**: float32 (n, n_columns), missing as NaN → float32 (n, 1) probabilities.
    """
    values = keras.Input((encoding.n_columns,), name="values")
    return keras.Model(
        values, network(EncodingLayer(encoding)(values)), name="values_to_probability"
    )


def build_graph(encoding: Encoding, network: keras.Model) -> bytes:
    """Return preprocessing and network as a serialised ONNX graph with one input, ``values``.

    **Shape**: float32 (n, n_columns), missing as NaN → float32 (n, 1) probabilities.
    """
    joined = join_encoding(encoding, network)
    joined(np.zeros((1, encoding.n_columns), dtype=np.float32))  # Keras exports only called models
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporters use names that NumPy 2 deprecated, and warn about constants in a trace.
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        with contextlib.redirect_stdout(io.StringIO()):
            joined.export(str(path), format="onnx", verbose=False)
        return path.read_bytes()


def _column_vector(numbers: Sequence[float]) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None]
