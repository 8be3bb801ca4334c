"""Bootstrap intervals for predicted probabilities (sampling uncertainty).

An artifact holds a hundred member networks, each trained on a bootstrap sample of the patients. The
spread of their log-odds for a record shows how much the prediction depends on the sample. Raw
percentiles are too narrow, because early stopping shrinks all networks towards the mean and the
members shrink together. So the members train longer than the network that predicts, and the
distance of a percentile from their median is multiplied by :data:`SPREAD_FACTOR`.
docs/decisions/0014-intervals.md has the simulations that chose these numbers, and the coverage that
was measured.

Where values of a record are missing, the interval also covers the unknown values: their conditional
variance, propagated through the members' gradients, is added to the distance in quadrature.

The interval does not cover the choice of the recipe on the same table, a misspecified model, or
patients of another population.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Literal

import msgspec
import numpy as np

from model.artifacts import INTERVAL_TOLERANCE, Artifact, GoldenRows, max_difference
from model.errors import ArtifactDamaged, IntervalUnavailable
from model.features import Encoding
from model.inference.dense_network import (
    DenseLayer,
    DenseNetwork,
    MemberLayer,
    StackedDenseNetwork,
)
from model.inference.missing_values import MissingValueScorer, shrinkage
from model.logit import to_probabilities

INTERVAL_LEVEL = 0.9
SPREAD_FACTOR = 1.25
INTERVAL_ROWS_PER_BLOCK = 16
"""Activations of a hundred members for so many rows fit into a core's cache, and each worker
allocates little memory."""


class Interval(msgspec.Struct, frozen=True):
    """An interval for one predicted probability.

    Attributes:
        low, high: bounds of the probability; the prediction lies between them.
        level: nominal coverage.
    """

    low: float
    high: float
    level: float
    kind: Literal["sampling uncertainty"] = "sampling uncertainty"


class BootstrapFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Networks trained on bootstrap samples: ``members.json`` of an artifact.

    Attributes:
        level: nominal coverage of the intervals.
        spread: factor on the distances from the median.
        layers: of the members; the last one linear, with one unit.
        calibration: layers of the calibration that the predicting network ends in. Empty without a
            calibration, and for a line, which the last layer has absorbed.
        lows, highs: bounds of the golden rows, which are verified on load.
    """

    level: float
    spread: float
    layers: list[MemberLayer]
    calibration: list[DenseLayer] = []
    lows: list[float] = []
    highs: list[float] = []


class IntervalEstimator:
    """Estimator of the intervals of one model version.

    Args:
        missing_value_scorer: the scorer's, which imputes missing values.

    Attributes:
        available: False for a version that was trained before intervals existed.

    Raises:
        ArtifactDamaged: the members cannot be read, or the intervals of the golden rows differ from
            the saved ones.
    """

    def __init__(self, artifact: Artifact, missing_value_scorer: MissingValueScorer | None) -> None:
        self._where = f"version {artifact.folder.name}"
        self._ensemble_scorer: EnsembleScorer | None = None
        self.available = "members.json" in artifact.files
        if not self.available:
            return
        try:
            members = msgspec.json.decode(artifact.files["members.json"], type=BootstrapFile)
            golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows)
            self._ensemble_scorer = EnsembleScorer(artifact.files, members, missing_value_scorer)
            rows = np.array(golden.values, np.float64)
            bounds = self._ensemble_scorer.bounds(rows, np.array(golden.probabilities))
            difference = max_difference(bounds, [members.lows, members.highs])
        except (msgspec.DecodeError, ValueError) as error:
            raise ArtifactDamaged(
                f"{self._where}: intervals cannot be computed: {error}"
            ) from error
        if not difference <= INTERVAL_TOLERANCE:
            raise ArtifactDamaged(
                f"{self._where}: the intervals of the golden rows differ by {difference:.1e} "
                "from the saved ones"
            )

    def intervals(self, values: np.ndarray, probabilities: np.ndarray) -> list[Interval]:
        """Return one interval for each prediction; interval i belongs to row i.

        Args:
            values: float64 (n, n_columns), validated, missing as NaN.
            probabilities: (n,), the predictions.

        Raises:
            IntervalUnavailable: the artifact has no ``members.json``.
        """
        if self._ensemble_scorer is None:
            raise IntervalUnavailable(
                f"{self._where} was trained without the bootstrap networks that intervals need: "
                "make retrain trains a version with them"
            )
        lows, highs = self._ensemble_scorer.bounds(values, probabilities).tolist()
        level = self._ensemble_scorer.level
        return [Interval(low, high, level) for low, high in zip(lows, highs, strict=True)]


class EnsembleScorer:
    """Scorer that computes bounds from the members of an artifact.

    Args:
        files: at least ``encoding.json``.

    Attributes:
        level: nominal coverage of the bounds.

    Raises:
        ValueError: the files do not fit together.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        members: BootstrapFile,
        missing_value_scorer: MissingValueScorer | None,
    ) -> None:
        self.level = members.level
        self._spread = members.spread
        self._encoding = msgspec.json.decode(files["encoding.json"], type=Encoding)
        self._missing_value_scorer = missing_value_scorer
        self._network = StackedDenseNetwork(members.layers, len(self._encoding.features))
        self._calibration = (
            DenseNetwork(members.calibration, 1, np.float32) if members.calibration else None
        )

    def bounds(self, values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """Return the lower and the upper bound of each probability, float64 (2, n).

        Args:
            values: (n, n_columns), validated, missing as NaN.
            probabilities: (n,), the predictions; they lie between their bounds.
        """
        bounds = np.empty((2, len(values)))
        for start in range(0, len(values), INTERVAL_ROWS_PER_BLOCK):
            rows = slice(start, start + INTERVAL_ROWS_PER_BLOCK)
            bounds[:, rows] = self._block_bounds(values[rows], probabilities[rows])
        return bounds

    def _block_bounds(self, values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        if self._missing_value_scorer is None or not np.isnan(values).any():
            log_odds, _ = self._network.log_odds(self._encoding.encode(values))
            variances = np.zeros((len(values), 1))
        else:
            imputed = self._missing_value_scorer.imputer.impute(values)
            log_odds, outputs = self._network.log_odds(imputed.features)
            variances = imputed.variances(self._network.gradients(len(values), outputs)).T
        if self._calibration is not None:
            calibrated, slopes = self._calibration.log_odds_and_gradients(log_odds.reshape(-1, 1))
            variances = variances * slopes.reshape(log_odds.shape) ** 2
            log_odds = calibrated.reshape(log_odds.shape)
        _, lows, highs = interval_bounds(log_odds, self.level, self._spread, variances)
        return np.array([np.minimum(lows, probabilities), np.maximum(highs, probabilities)])


def interval_bounds(
    log_odds: np.ndarray, level: float, spread: float, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return medians, lower and upper bounds of the members' predictions as probabilities.

    Args:
        log_odds: (n, m), of n records by m members.
        level: nominal coverage, above 0 and below 1.
        spread: factor on the distances of the percentiles from the median.
        variances: (n, m), of each member's log-odds given the known values, 0 for a complete
            record; or (n, 1).

    Returns:
        Three times float64 (n,).
    """
    factors = shrinkage(variances)
    shrunk = np.sort(log_odds.astype(np.float64) * factors, axis=1)
    median = _row_quantile(shrunk, 0.5)
    normal_quantile = NormalDist().inv_cdf((1 + level) / 2)
    missing = normal_quantile * np.sqrt((variances * factors**2).mean(axis=1))
    below = np.hypot(spread * (median - _row_quantile(shrunk, (1 - level) / 2)), missing)
    above = np.hypot(spread * (_row_quantile(shrunk, (1 + level) / 2) - median), missing)
    medians, lows, highs = to_probabilities(np.array([median, median - below, median + above]))
    return medians, lows, highs


def _row_quantile(ordered: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile of each sorted row of (n, m), linearly interpolated like np.quantile."""
    position = share * (ordered.shape[1] - 1)
    below = int(position)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below] + (position - below) * (ordered[:, above] - ordered[:, below])
