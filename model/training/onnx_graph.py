"""Fitted preprocessing + network → one ONNX graph, from the values of a record to a probability.

The graph is what serves. It is made from the fitted preprocessing's numbers and the saved Keras
weights, so training and serving cannot drift apart.
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
    """The fitted preprocessing as a layer: values → features, as the ColumnTransformer makes them.

    Works on the transposed table, where ONNX Runtime broadcasts over long rows.

    **Shape**: float32 (n, n_columns), missing as NaN → float32 (n, n_features).
    """

    def __init__(self, encoding: Encoding) -> None:
        super().__init__(name="encode")
        self.column_indices = np.array(encoding.columns, dtype=np.int32)
        self.means, self.scales = _column_vector(encoding.means), _column_vector(encoding.scales)
        self.codes, self.fills = _column_vector(encoding.codes), _column_vector(encoding.fills)

    def call(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """Values to features, in the operations that every Keras backend exports."""
        raw = ops.take(ops.transpose(values), self.column_indices, axis=0)  # (n_features, n)
        n_standardised = len(self.means)
        # Keras's operations and not Python's: on PyTorch a tensor minus a NumPy array leaves the
        # trace, and becomes a constant of the graph.
        standardised = ops.divide(ops.subtract(raw[:n_standardised], self.means), self.scales)
        one_hot = ops.cast(ops.equal(raw[n_standardised:], self.codes), "float32")
        features = ops.concatenate([standardised, one_hot], axis=0)
        return ops.transpose(ops.where(ops.isnan(raw), self.fills, features))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(n, n_columns) → (n, n_features)."""
        return (input_shape[0], len(self.column_indices))


def join_encoding(encoding: Encoding, network: keras.Model) -> keras.Model:
    """The whole as one Keras model: float32 (n, n_columns) values → (n, 1) probabilities."""
    values = keras.Input((encoding.n_columns,), name="values")
    return keras.Model(
        values, network(EncodingLayer(encoding)(values)), name="values_to_probability"
    )


def build_graph(encoding: Encoding, network: keras.Model) -> bytes:
    """The whole as an ONNX graph; its one input is called ``values``.

    **Shape**: float32 (n, n_columns), missing as NaN → float32 (n, 1).
    """
    whole = join_encoding(encoding, network)
    whole(np.zeros((1, encoding.n_columns), dtype=np.float32))  # Keras exports only what was called
    said = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Exporters warn of names that NumPy 2 deprecated, and of constants in a trace.
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        with contextlib.redirect_stdout(said):
            whole.export(str(path), format="onnx", verbose=False)
        return path.read_bytes()


def _column_vector(numbers: Sequence[float]) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None]
