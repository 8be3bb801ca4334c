"""The fitted preprocessing as numbers: for the Cleveland table, 13 values to 29 features.

The pipelines fit a scikit-learn ColumnTransformer and extract its numbers, which an artifact stores
as JSON. :mod:`model.training.onnx_graph` builds the preprocessing of the ONNX graph from them, and
:mod:`model.inference` encodes records with them in NumPy.
"""

from __future__ import annotations

import msgspec
import numpy as np


class Encoding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fitted preprocessing, feature by feature: standardised features first, then one-hot ones.

    Attributes:
        n_columns: the number of values in a record.
        features: n names, in the order of the network's inputs.
        columns: n indices into the values of a record: the source column of each feature.
        means, scales: of the first k features, each of which is (value - mean) / scale.
        codes: of the other n - k features, each of which is 1 if the value equals the code, else 0.
        fills: n; the value of a feature for a missing value: its mean over the training rows.
    """

    n_columns: int
    features: tuple[str, ...]
    columns: tuple[int, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    codes: tuple[float, ...]
    fills: tuple[float, ...]

    def __post_init__(self) -> None:
        n = len(self.features)
        if not (len(self.columns) == len(self.fills) == len(self.means) + len(self.codes) == n):
            raise ValueError("features, columns, means + codes and fills must have the same length")
        if len(self.means) != len(self.scales):
            raise ValueError("means and scales must have the same length")
        if not set(self.columns) <= set(range(self.n_columns)):
            raise ValueError("a feature refers to a column that does not exist")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the features of validated values, as the ONNX graph computes them.

        **Shape**: (n, n_columns), missing as NaN → float64 (n, n_features).
        """
        return np.ascontiguousarray(Encoder(self).encode(values).T)


class Encoder:
    """An encoder that stores one feature per row.

    NumPy is several times faster on rows of n numbers than on rows of 29.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._columns = np.array(encoding.columns)
        self._means, self._scales = _column_vector(encoding.means), _column_vector(encoding.scales)
        self._codes, self._fills = _column_vector(encoding.codes), _column_vector(encoding.fills)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return the features of validated values, transposed: one feature per row.

        **Shape**: (n, n_columns), missing as NaN → float64 (n_features, n).
        """
        raw = values.T[self._columns]
        n_standardised = len(self._means)
        features = np.empty(raw.shape)
        np.subtract(raw[:n_standardised], self._means, out=features[:n_standardised])
        features[:n_standardised] /= self._scales
        np.equal(raw[n_standardised:], self._codes, out=features[n_standardised:])
        np.copyto(features, self._fills, where=np.isnan(raw))
        return features


def _column_vector(numbers: tuple[float, ...]) -> np.ndarray:
    return np.array(numbers, dtype=np.float64)[:, None]
