"""How far an answer might lie elsewhere, had other patients been in the table.

A hundred networks were trained beside the one that answers, each on a bootstrap sample of the
patients. Where they put the log-odds of a record shows what the sample leaves open. Raw percentiles
are too narrow, because a network that was stopped early is drawn towards the mean and its copies
are drawn there together; so the members train longer than it did, and the distance of a percentile
from their median is stretched by :data:`SPREAD_FACTOR`. docs/decisions/0014-intervals.md has the simulations
that chose these numbers, and how often such an interval holds a truth that is known.

Where values of a record are missing, the interval also holds what the unknown values could change:
their conditional variance, seen through the members' gradients, joins the distance in quadrature.

It is sampling uncertainty. That the table is of other patients than yours, that the recipe was
chosen on it, or that no network of this kind is right, is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal

import msgspec
import numpy as np

from model.artifacts import INTERVAL_TOLERANCE, Artifact, GoldenRows, max_difference
from model.errors import ArtifactDamaged, IntervalUnavailable
from model.features import Encoding
from model.inference.dense_network import (
    ACTIVATION_FUNCTIONS,
    ACTIVATION_GRADIENTS,
    DenseLayer,
    DenseNetwork,
)
from model.inference.missing_values import MissingValueScorer, shrinkage
from model.logit import to_probabilities

INTERVAL_LEVEL = 0.9


SPREAD_FACTOR = 1.25


INTERVAL_ROWS_PER_BLOCK = 16
"""Their members fit into a core's cache, and what is left over stays small in every worker."""


class Interval(msgspec.Struct, frozen=True):
    """Where the probability may lie.

    Attributes:
        low, high: the probability that was answered is not outside.
        level: nominal; how often such an interval should hold the truth.
    """

    low: float
    high: float
    level: float
    kind: Literal["sampling uncertainty"] = "sampling uncertainty"


class MemberLayer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dense layer of m networks.

    Attributes:
        shape: (m, inputs, units).
        kernel: float32, little-endian, of that shape; in JSON as base64.
        bias: float32 (m, units), the same way.
        activation: as :class:`model.training.fit.config.TrainingConfig` names it.
    """

    shape: tuple[int, int, int]
    kernel: bytes
    bias: bytes
    activation: str


class BootstrapFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Networks that were trained on bootstrap samples: ``members.json`` of an artifact.

    Attributes:
        level, spread: as the module's description says.
        layers: the last one linear, with one unit.
        calibration: what the answering network's log-odds are led through in the end, too; empty
            where that is nothing, or in the last layer already.
        lows, highs: of the golden rows, to prove on load that the intervals are still these.
    """

    level: float
    spread: float
    layers: list[MemberLayer]
    calibration: list[DenseLayer] = []
    lows: list[float] = []
    highs: list[float] = []


class IntervalEstimator:
    """Gives the intervals of one version of a model.

    Args:
        missing_value_scorer: the scorer's, which fills what is missing.

    Attributes:
        available: False for a version that was trained before there were intervals, or whose
            activation is code of one's own.

    Raises:
        ArtifactDamaged: the members cannot be read, or give other intervals than those that they
            were saved with.
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
            rows = np.array(golden.values, np.float32)
            found = self._ensemble_scorer.bounds(rows, np.array(golden.probabilities))
            difference = max_difference(found, [members.lows, members.highs])
        except (msgspec.DecodeError, ValueError) as error:
            raise ArtifactDamaged(f"{self._where}: no intervals can be given: {error}") from error
        if not difference <= INTERVAL_TOLERANCE:
            raise ArtifactDamaged(
                f"{self._where}: intervals differ by {difference:.1e} from those it was saved with"
            )

    def intervals(self, values: np.ndarray, probabilities: np.ndarray) -> list[Interval]:
        """One interval an answer; interval i belongs to row i.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.
            probabilities: (n,), what was answered.

        Raises:
            IntervalUnavailable: the version holds nothing to give intervals with.
        """
        if self._ensemble_scorer is None:
            raise IntervalUnavailable(
                f"{self._where} was trained without what intervals need: "
                "make retrain trains one that can give them"
            )
        lows, highs = self._ensemble_scorer.bounds(values, probabilities).tolist()
        level = self._ensemble_scorer.level
        return [Interval(low, high, level) for low, high in zip(lows, highs, strict=True)]


class EnsembleScorer:
    """The members of an artifact, ready to give bounds.

    Raises:
        ValueError: the files do not fit each other.
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
        kernels, self._biases = _decode_layers(members.layers, len(self._encoding.features))
        # All first layers as one product of matrices.
        self._first_kernels = kernels[0].transpose(1, 0, 2).reshape(kernels[0].shape[1], -1)
        self._kernels = kernels[1:]
        self._activations = [layer.activation for layer in members.layers]
        self._calibration = (
            DenseNetwork(members.calibration, 1, np.float32) if members.calibration else None
        )

    def bounds(self, values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        """float64 (2, n): the lower and the upper bound of each probability.

        Args:
            values: (n, n_columns), validated, missing as NaN.
            probabilities: (n,), what was answered; the bounds hold it.
        """
        found = np.empty((2, len(values)))
        for start in range(0, len(values), INTERVAL_ROWS_PER_BLOCK):
            part = slice(start, start + INTERVAL_ROWS_PER_BLOCK)
            found[:, part] = self._bounds(values[part], probabilities[part])
        return found

    def _bounds(self, values: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        if self._missing_value_scorer is None or not np.isnan(values).any():
            log_odds, _ = self.log_odds(self._encoding.encode(values))
            variances = np.zeros((len(values), 1))
        else:
            filled = self._missing_value_scorer.imputer.impute(values)
            log_odds, outputs = self.log_odds(filled.features)
            variances = filled.variances(self.gradients(len(values), outputs)).T
        if self._calibration is not None:
            through, slopes = self._calibration.log_odds_and_gradients(log_odds.reshape(-1, 1))
            variances = variances * slopes.reshape(log_odds.shape) ** 2
            log_odds = through.reshape(log_odds.shape)
        _, lows, highs = interval_bounds(log_odds, self.level, self._spread, variances)
        return np.array([np.minimum(lows, probabilities), np.maximum(highs, probabilities)])

    def log_odds(self, features: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """(n, n_features) → (n, m) before calibration, and (n, m, units) of each hidden layer."""
        x = features.astype(np.float32) @ self._first_kernels
        x = x.reshape(len(x), *self._biases[0].shape) + self._biases[0]
        outputs = []
        for activation, kernel, bias in zip(
            self._activations[:-1], self._kernels, self._biases[1:], strict=True
        ):
            ACTIVATION_FUNCTIONS[activation](x)
            outputs.append(x)
            x = _batched_matmul(x, kernel) + bias
        return x[:, :, 0], outputs

    def gradients(self, n: int, outputs: list[np.ndarray]) -> np.ndarray:
        """(m, n, n_features): of n log-odds before calibration, by the features.

        Args:
            outputs: of the hidden layers, as :meth:`log_odds` gives them.
        """
        m, units = self._biases[0].shape
        gradients = np.ones((n, m, 1), np.float32)
        for number in range(len(outputs) - 1, -1, -1):
            gradients = np.einsum("nmv,muv->nmu", gradients, self._kernels[number])
            gradients = ACTIVATION_GRADIENTS[self._activations[number]](outputs[number], gradients)
        first = self._first_kernels.reshape(-1, m, units).transpose(1, 2, 0)
        return gradients.transpose(1, 0, 2) @ first


def _batched_matmul(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(n, m, u), (m, u, v) → (n, m, v), member by member."""
    if kernel.shape[2] == 1:
        return np.einsum("nmu,mu->nm", x, kernel[:, :, 0])[:, :, None]
    return np.einsum("nmu,muv->nmv", x, kernel)


def _decode_layers(
    layers: Sequence[MemberLayer], n_features: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Kernels (m, inputs, units) and biases (m, units).

    Raises:
        ValueError: they do not fit each other, or are no networks that give log-odds.
    """
    if not layers or layers[-1].shape[2] != 1 or layers[-1].activation != "linear":
        raise ValueError("members must end in one linear unit")
    kernels, biases, n_inputs = [], [], n_features
    for layer in layers:
        m, inputs, units = layer.shape
        if (
            m != layers[0].shape[0]
            or inputs != n_inputs
            or layer.activation not in ACTIVATION_FUNCTIONS
        ):
            raise ValueError("a layer does not fit the one before it")
        kernels.append(np.frombuffer(layer.kernel, "<f4").reshape(layer.shape))
        biases.append(np.frombuffer(layer.bias, "<f4").reshape(m, units))
        if not (np.isfinite(kernels[-1]).all() and np.isfinite(biases[-1]).all()):
            raise ValueError("a kernel or a bias is not finite")
        n_inputs = units
    return kernels, biases


def interval_bounds(
    log_odds: np.ndarray, level: float, spread: float, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The middle of what members say, and the bounds around it; each float64 (n,), probabilities.

    Args:
        log_odds: (n, m), of n records by m members.
        spread: what the distances from the median are multiplied by.
        variances: (n, m), that missing values leave each member's log-odds; or (n, 1).
    """
    shrunk = shrinkage(variances)
    drawn = np.sort(log_odds.astype(np.float64) * shrunk, axis=1)
    middle = _row_quantile(drawn, 0.5)
    quantile = NormalDist().inv_cdf((1 + level) / 2)
    unknown = quantile * np.sqrt((variances * shrunk**2).mean(axis=1))
    below = np.hypot(spread * (middle - _row_quantile(drawn, (1 - level) / 2)), unknown)
    above = np.hypot(spread * (_row_quantile(drawn, (1 + level) / 2) - middle), unknown)
    middles, lows, highs = to_probabilities(np.array([middle, middle - below, middle + above]))
    return middles, lows, highs


def _row_quantile(ordered: np.ndarray, share: float) -> np.ndarray:
    """Of each sorted row of (n, m), with straight lines between neighbours, as NumPy's own."""
    place = share * (ordered.shape[1] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below] + (place - below) * (ordered[:, above] - ordered[:, below])
