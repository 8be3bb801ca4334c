"""The network evaluated on coalitions of columns: background rows with values of a record.

The sums of the first layer are linear in the features, so each column adds one vector to them. A
background row in which some columns are replaced by those of a record therefore differs from it by
the sum of as many vectors. Evaluating a coalition needs one small matrix product and no encoding.
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

LAYER_CELLS_PER_BLOCK = 2**15
"""Numbers of a layer that are computed together, so that they stay in a core's cache."""


class Background(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The background sample: rows that supply the values of columns outside a coalition.

    Attributes:
        origin: ``training rows``, or ``synthetic`` rows drawn from their mean and covariance where
            the schema does not declare their file as published.
        seed: of the selection or the random draw.
        values: n rows of n_columns, missing as null.
    """

    origin: Literal["training rows", "synthetic"]
    seed: int
    values: list[list[float | None]]


class ExplanationData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Layers and background sample of explanations: ``explanation.json`` of an artifact.

    Attributes:
        layers: of the network that the graph was built from.
    """

    background: Background
    layers: list[DenseLayer]


class CoalitionNetwork:
    """A network and a background sample, evaluated on coalitions of columns.

    Attributes:
        base: mean log-odds over the background sample.
        background_log_odds: float64 (n_background,).

    Raises:
        ValueError: encoding, layers and background do not fit together.
    """

    def __init__(self, encoding: Encoding, data: ExplanationData) -> None:
        n_features = len(encoding.features)
        self.encoding = encoding
        self._network = DenseNetwork(data.layers, n_features, np.float64)
        self._network_float32 = DenseNetwork(data.layers, n_features, np.float32)
        self._rows_per_block = max(1, LAYER_CELLS_PER_BLOCK // self._network.max_units)
        values = np.array(data.background.values, dtype=np.float64)
        if values.ndim != 2 or not len(values) or values.shape[1] != encoding.n_columns:
            raise ValueError(
                "the background sample must hold at least one row, with a value for each column"
            )
        self._background_features = encoding.encode(values)
        self._background_sums = self._network.first_layer_sums(self._background_features)
        self.background_log_odds = self._network.log_odds(self._background_sums.copy())
        self.base = float(self.background_log_odds.mean())
        columns = np.array(encoding.columns)
        self._column_features = [np.flatnonzero(columns == j) for j in range(encoding.n_columns)]

    def log_odds(self, values: np.ndarray) -> np.ndarray:
        """Return the log-odds of records, with missing values filled as the graph fills them.

        **Shape**: (n, n_columns), validated, missing as NaN → float64 (n,).
        """
        return self._network.log_odds(self._network.first_layer_sums(self.encoding.encode(values)))

    def log_odds_and_gradients(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-odds of encoded records and their gradients by the features.

        **Shape**: (n, n_features), without missing values → float64 (n,), (n, n_features).
        """
        return self._network.log_odds_and_gradients(features)

    def by_column(self, matrix: np.ndarray) -> np.ndarray:
        """Sum a matrix over the features of each column.

        **Shape**: (n_features, n_features) → (n_columns, n_columns).
        """
        rows = np.array([matrix[features].sum(axis=0) for features in self._column_features])
        return np.array([rows[:, features].sum(axis=1) for features in self._column_features]).T

    def mixtures(self, features: np.ndarray) -> np.ndarray:
        """Return the terms of the first-layer sums when a record replaces background values.

        Args:
            features: (n_features,), the encoded record, without missing values.

        Returns:
            float32 (n_background, 1 + n_columns, n_units): the first-layer sums of each background
            row, then for each column the change when its value is replaced by the record's;
            exactly 0 where the two values are equal.
        """
        kernel = self._network.kernels[0]
        changes = features - self._background_features
        terms = [changes[:, own] @ kernel[own] for own in self._column_features]
        return np.stack([self._background_sums, *terms], axis=1, dtype=np.float32)

    def log_odds_of_mixtures(self, mixture: np.ndarray, coalitions: np.ndarray) -> np.ndarray:
        """Return the log-odds of one background row with coalitions replaced by a record's values.

        Computed in single precision, with errors of about 1e-6, and in blocks of bounded memory.

        Args:
            mixture: float32 (1 + n_players, n_units), rows of one background row in
                :meth:`mixtures`.
            coalitions: float32 (n, 1 + n_players), as :data:`model.inference.shapley.Game` takes
                them.

        Returns:
            float64 (n,).
        """
        log_odds = np.empty(len(coalitions))
        for start in range(0, len(coalitions), self._rows_per_block):
            block = slice(start, start + self._rows_per_block)
            log_odds[block] = self._network_float32.log_odds(coalitions[block] @ mixture)
        return log_odds


def load_coalition_network(files: Mapping[str, bytes]) -> CoalitionNetwork:
    """Load the network of an artifact's explanations and verify it against the golden rows.

    The golden probabilities are the graph's, in single precision, exact to 1e-6. Beyond that the
    log-odds must agree within 1e-5, the documented error of the sum of contributions.

    Args:
        files: at least ``encoding.json``, ``explanation.json`` and ``golden.json``.

    Raises:
        ValueError: the files cannot be read or do not fit together, or the probabilities of the
            golden rows differ from the graph's.
    """
    try:
        encoding = msgspec.json.decode(files["encoding.json"], type=Encoding)
        data = msgspec.json.decode(files["explanation.json"], type=ExplanationData)
        golden = msgspec.json.decode(files["golden.json"], type=GoldenRows)
    except msgspec.DecodeError as error:
        raise ValueError(f"a file of the explanations cannot be read: {error}") from error
    network = CoalitionNetwork(encoding, data)
    rows = np.array(golden.values, dtype=np.float64)
    if not rows.shape == (len(golden.probabilities), encoding.n_columns) or not len(rows):
        raise ValueError(
            "golden.json must hold at least one row, with a value for each column and a probability"
        )
    graph = np.array(golden.probabilities)
    # A difference in log-odds is p (1 - p) times as large in the probability p.
    allowed = PROBABILITY_TOLERANCE + LOG_ODDS_TOLERANCE * graph * (1 - graph)
    difference = np.abs(to_probabilities(network.log_odds(rows)) - graph)
    if not (difference <= allowed).all():
        raise ValueError(
            "the probabilities of the golden rows differ from the graph's by "
            f"{difference.max():.1e}"
        )
    return network
