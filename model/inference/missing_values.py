"""Answers to records in which something is missing.

Missing features are filled with their means given the known ones, and the log-odds are drawn
towards 0 by how much the network would say otherwise if the missing values lay elsewhere:

    log-odds = network(filled) / sqrt(1 + pi / 8 * g'Cg)

with g the network's gradient at the filled features and C their covariance given the known ones. It
is the mean of a sigmoid whose argument is spread normally, in the probit approximation (D. J. C.
MacKay, "The evidence framework applied to classification networks", Neural Computation, 1992).

The graph, which answers complete records, fills with plain means instead; so do versions that were
written before there was an ``inputs.json``, and networks whose activation is code of one's own, whose
layers an artifact does not hold as numbers in an ``explanation.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from model.features import (
    ConditionalGaussianImputer,
    Encoding,
    FeatureMoments,
    fit_feature_moments,
    order_by_pattern,
)
from model.inference.dense_network import DenseLayer, DenseNetwork
from model.logit import to_probabilities
from model.schema import Schema

IMPUTATION_ROWS_PER_BLOCK = 1_024
"""So that memory stays flat, and what is worked on stays in a core's cache."""


class MissingValueFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it takes to answer incomplete records: ``inputs.json`` of an artifact.

    Attributes:
        golden_probabilities: the scorer's to the golden rows, which show on load that it gives them still. Where
            a golden row is complete it is the graph's.
    """

    moments: FeatureMoments
    golden_probabilities: list[float]


_Kind = TypeVar("_Kind")


class _LayersOnly(msgspec.Struct):
    """As much of ``explanation.json`` as says what the network is."""

    layers: list[DenseLayer] | None = None


class MissingValueScorer:
    """Answers records by a network whose missing inputs are filled with their conditional means.

    Attributes:
        imputer: fills records; what it gives also tells the variance of the answers of other
            networks, such as those of an interval.
        network: with the graph's weights.
    """

    def __init__(self, imputer: ConditionalGaussianImputer, network: DenseNetwork) -> None:
        self.imputer = imputer
        self.network = network

    def rescore(self, values: np.ndarray, probabilities: np.ndarray) -> None:
        """Put right, in place, the probabilities of the records in which something is missing.

        Args:
            values: (n, n_columns), validated, missing as NaN.
            probabilities: (n,), the graph's; those of complete records are left as they are.
        """
        missing = self.imputer.missing_mask(values)
        rows = np.flatnonzero(missing.any(axis=1))
        if len(rows) > 1:
            rows = rows[order_by_pattern(missing[rows])]
        for start in range(0, len(rows), IMPUTATION_ROWS_PER_BLOCK):
            part = rows[start : start + IMPUTATION_ROWS_PER_BLOCK]
            probabilities[part] = self.probabilities(values[part])

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """(n, n_columns), validated, missing as NaN → float64 (n,)."""
        return to_probabilities(self.log_odds(values))

    def log_odds(self, values: np.ndarray) -> np.ndarray:
        """(n, n_columns), validated, missing as NaN → float64 (n,)."""
        filled = self.imputer.impute(values)
        log_odds, gradients = self.network.log_odds_and_gradients(filled.features)
        return log_odds * shrinkage(filled.variances(gradients))


def shrinkage(variances: np.ndarray) -> np.ndarray:
    """What log-odds are multiplied by that have so much variance: 1 where they have none."""
    return 1 / np.sqrt(1 + np.pi / 8 * variances)


def load_missing_value_scorer(
    schema: Schema, files: Mapping[str, bytes]
) -> MissingValueScorer | None:
    """What answers the incomplete records of an artifact; None where its graph has to.

    Args:
        files: of the artifact.

    Raises:
        ValueError: they cannot be read, or do not fit each other.
    """
    columns = optional_columns(schema)
    if not columns or not {"inputs.json", "explanation.json"} <= files.keys():
        return None
    encoding = _decode(files, "encoding.json", Encoding)
    inputs = _decode(files, "inputs.json", MissingValueFile).moments
    if encoding.n_columns != len(schema.columns):
        raise ValueError("the encoding is not that of the columns")
    imputer = ConditionalGaussianImputer(inputs, encoding, columns)
    layers = _decode(files, "explanation.json", _LayersOnly).layers
    if not layers:
        return None
    return MissingValueScorer(imputer, DenseNetwork(layers, len(encoding.features), np.float64))


def build_missing_value_file(
    schema: Schema,
    files: Mapping[str, bytes],
    features: np.ndarray,
    golden: np.ndarray,
    probabilities: np.ndarray,
) -> bytes:
    """``inputs.json`` for an artifact that otherwise is whole.

    Args:
        features: float64 (n, n_features), the training inputs.
        golden: (k, n_columns), the golden rows.
        probabilities: (k,), the graph's for them.

    Raises:
        ValueError: the files do not fit each other.
    """
    inputs = fit_feature_moments(features)
    without = msgspec.json.encode(MissingValueFile(moments=inputs, golden_probabilities=[]))
    incomplete = load_missing_value_scorer(schema, {**files, "inputs.json": without})
    answers = np.array(probabilities)
    if incomplete is not None:
        incomplete.rescore(golden, answers)
    return msgspec.json.encode(
        MissingValueFile(moments=inputs, golden_probabilities=answers.tolist())
    )


def load_golden_probabilities(files: Mapping[str, bytes]) -> Sequence[float] | None:
    """The answers to the golden rows that an artifact was saved with; None without inputs.json.

    Raises:
        ValueError: it cannot be read.
    """
    return (
        _decode(files, "inputs.json", MissingValueFile).golden_probabilities
        if "inputs.json" in files
        else None
    )


def optional_columns(schema: Schema) -> Sequence[int]:
    """The indices of the columns that a record need not know."""
    return [i for i, column in enumerate(schema.columns) if not column.required]


def _decode(files: Mapping[str, bytes], name: str, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(files[name], type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
