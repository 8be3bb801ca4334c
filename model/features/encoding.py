"""The numbers of a fitted preprocessing: what turns 13 values into 29 features.

Fitting is the pipelines' work (a scikit-learn ColumnTransformer). What it found is a handful of
numbers, which an artifact keeps as JSON, from which :mod:`model.training.onnx_graph` builds the first half of
the graph that serves, and with which :mod:`model.inference.explainer` takes that graph apart.
"""

from __future__ import annotations

import msgspec
import numpy as np


class Encoding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fitted preprocessing, feature by feature: standardised ones first, then one-hot ones.

    Attributes:
        n_columns: values in a record.
        features: n names, in the order of the network's inputs.
        columns: n indices into a record's values: the column that each feature is made of.
        means, scales: of the first k features: (value - mean) / scale.
        codes: of the other n - k features: 1 where the value equals the code, otherwise 0.
        fills: n; what a feature is where its value is missing: the mean of the training rows.
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
            raise ValueError("features, columns, means + codes and fills differ in length")
        if len(self.means) != len(self.scales):
            raise ValueError("means and scales differ in length")
        if not set(self.columns) <= set(range(self.n_columns)):
            raise ValueError("a feature is made of a column that is not there")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """What the graph makes of validated values, worked out with NumPy.

        **Shape**: (n, n_columns), missing as NaN → float64 (n, n_features).
        """
        return np.ascontiguousarray(Encoder(self).encode(values).T)


class Encoder:
    """An encoding with its numbers at hand, working on a feature at a time.

    NumPy is several times quicker along rows of n numbers than along rows of 29.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._columns = np.array(encoding.columns)
        self._means, self._scales = _column_vector(encoding.means), _column_vector(encoding.scales)
        self._codes, self._fills = _column_vector(encoding.codes), _column_vector(encoding.fills)

    def encode(self, values: np.ndarray) -> np.ndarray:
        """As :meth:`Encoding.encode`, but the other way round.

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
