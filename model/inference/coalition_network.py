"""The network folded by column: what each value of a record adds to the first hidden layer.

A one-hot block of five features, one of them 1, adds one row of the kernel to the sums of the first
layer; a standardised number adds a multiple of one row. So thirteen columns add thirteen vectors,
and a record in which some columns are those of another record differs from it by the sum of as
many differences. With that, mixing two records costs one small matrix product, and no encoding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np

from model.artifacts import LOG_ODDS_TOLERANCE, PROBABILITY_TOLERANCE, GoldenRows
from model.features import Encoding
from model.inference.dense_network import DenseLayer, DenseNetwork
from model.logit import to_probabilities

NUMBERS_AT_ONCE = 2**15
"""Numbers of a layer that are worked on together, so that they stay in a core's cache."""


class Background(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows over which a column is averaged that is left out of an explanation.

    Attributes:
        origin: ``training rows``, or ``synthetic`` from their mean and covariance where the schema
            does not name their file as published.
        seed: with which they were chosen or drawn.
        values: n rows of n_columns, missing as null.
    """

    origin: Literal["training rows", "synthetic"]
    seed: int
    values: list[list[float | None]]


class ExplanationData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What explanations need beside the encoding: ``explanation.json`` of an artifact.

    Attributes:
        layers: of the very network that the graph was built from.
    """

    background: Background
    layers: list[DenseLayer]


class CoalitionNetwork:
    """A network and a background sample, ready to be mixed with records.

    Attributes:
        base: mean log-odds over the background sample.
        background_log_odds: float64 (n_background,).

    Raises:
        ValueError: encoding, layers and background do not fit each other.
    """

    def __init__(self, encoding: Encoding, data: ExplanationData) -> None:
        n_features = len(encoding.features)
        self.encoding = encoding
        self._network = DenseNetwork(data.layers, n_features, np.float64)
        self._network_float32 = DenseNetwork(data.layers, n_features, np.float32)
        self._rows_per_block = max(1, NUMBERS_AT_ONCE // self._network.max_units)
        values = np.array(data.background.values, dtype=np.float32)
        if values.ndim != 2 or not len(values) or values.shape[1] != encoding.n_columns:
            raise ValueError("the background sample must hold rows of as many values as columns")
        self._background_features = encoding.encode(values)
        self._background_sums = self._network.first_layer_sums(self._background_features)
        self.background_log_odds = self._network.log_odds(self._background_sums.copy())
        self.base = float(self.background_log_odds.mean())
        columns = np.array(encoding.columns)
        self._column_features = [np.flatnonzero(columns == j) for j in range(encoding.n_columns)]

    def log_odds(self, values: np.ndarray) -> np.ndarray:
        """The graph's: (n, n_columns), validated, missing as NaN → float64 (n,)."""
        return self._network.log_odds(self._network.first_layer_sums(self.encoding.encode(values)))

    def log_odds_and_gradients(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Filled (n, n_features) → float64 (n,), and (n, n_features), its slopes."""
        return self._network.log_odds_and_gradients(features)

    def by_column(self, matrix: np.ndarray) -> np.ndarray:
        """(n_features, n_features) → (n_columns, n_columns), summed over the features of each."""
        rows = np.array([matrix[own].sum(axis=0) for own in self._column_features])
        return np.array([rows[:, own].sum(axis=1) for own in self._column_features]).T

    def mixtures(self, features: np.ndarray) -> np.ndarray:
        """What it takes to mix one record with each background row.

        Args:
            features: (n_features,), encoded, and filled where a value is missing.

        Returns:
            float32 (n_background, 1 + n_columns, n_units): the background row's sums in the first
            layer, and what is added where a column's value is replaced by that of the record;
            exactly 0 where the two values are the same.
        """
        kernel = self._network.kernels[0]
        replaced = features - self._background_features
        terms = [replaced[:, own] @ kernel[own] for own in self._column_features]
        return np.stack([self._background_sums, *terms], axis=1, dtype=np.float32)

    def log_odds_of_mixtures(self, mixture: np.ndarray, coalitions: np.ndarray) -> np.ndarray:
        """Log-odds of one background row with some columns replaced by those of a record.

        In single precision, right to about 1e-6; in blocks, so that memory stays flat.

        Args:
            mixture: float32 (1 + n_players, n_units), of :meth:`mixtures`.
            coalitions: float32 (n, 1 + n_players), as :data:`model.inference.shapley.Game` describes them.

        Returns:
            float64 (n,).
        """
        found = np.empty(len(coalitions))
        for start in range(0, len(coalitions), self._rows_per_block):
            block = slice(start, start + self._rows_per_block)
            found[block] = self._network_float32.log_odds(coalitions[block] @ mixture)
        return found


def load_coalition_network(files: Mapping[str, bytes]) -> CoalitionNetwork:
    """Fold the network of an artifact, and hold it to the graph's own answers.

    The golden rows tell: their probabilities are those of the graph, which reproduces them within
    1e-6. Beyond that single precision of the graph the log-odds must agree within 1e-5, which is
    what contributions are promised to sum to.

    Args:
        files: at least ``encoding.json``, ``explanation.json`` and ``golden.json``.

    Raises:
        ValueError: they cannot be read, do not fit each other, or give other answers.
    """
    try:
        encoding = msgspec.json.decode(files["encoding.json"], type=Encoding)
        data = msgspec.json.decode(files["explanation.json"], type=ExplanationData)
        golden = msgspec.json.decode(files["golden.json"], type=GoldenRows)
    except msgspec.DecodeError as error:
        raise ValueError(f"what explanations need cannot be read: {error}") from error
    network = CoalitionNetwork(encoding, data)
    rows = np.array(golden.values, dtype=np.float32)
    if not rows.shape == (len(golden.probabilities), encoding.n_columns) or not len(rows):
        raise ValueError("the golden rows are none of these columns")
    graph = np.array(golden.probabilities)
    # A difference in log-odds is p (1 - p) times as large in the probability p.
    allowed = PROBABILITY_TOLERANCE + LOG_ODDS_TOLERANCE * graph * (1 - graph)
    difference = np.abs(to_probabilities(network.log_odds(rows)) - graph)
    if not (difference <= allowed).all():
        raise ValueError(f"the layers give other answers than the graph, by {difference.max():.1e}")
    return network
