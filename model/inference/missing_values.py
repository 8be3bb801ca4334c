"""Probabilities of records with missing values.

Missing features are imputed by their conditional means given the known ones. The log-odds are then
shrunk towards 0 by the uncertainty that remains:

    log-odds = network(imputed) / sqrt(1 + pi / 8 * g'Cg)

with g the network's gradient at the imputed features and C their conditional covariance. This is
the mean of a sigmoid with a normally distributed argument, in the probit approximation (D. J. C.
MacKay, "The evidence framework applied to classification networks", Neural Computation, 1992).

The graph, which scores complete records, fills missing values with the means of the training rows.
It also scores records with missing values for versions without ``inputs.json``.
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
"""Rows that are imputed together: memory is bounded, and arrays stay in a core's cache."""


class MissingValueFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Moments for the imputation of missing values: ``inputs.json`` of an artifact.

    Attributes:
        moments: of the training features.
        golden_probabilities: the scorer's for the golden rows, which are verified on load; those
            of complete rows are the graph's.
    """

    moments: FeatureMoments
    golden_probabilities: list[float]


_T = TypeVar("_T")


class _LayersOnly(msgspec.Struct):
    """The layers in ``explanation.json``."""

    layers: list[DenseLayer]


class MissingValueScorer:
    """Scorer of records with missing values, by a network with imputed features.

    Attributes:
        imputer: imputes features; its result also gives the variances of other networks' log-odds,
            such as those of bootstrap members.
        network: a network with the graph's weights.
    """

    def __init__(self, imputer: ConditionalGaussianImputer, network: DenseNetwork) -> None:
        self.imputer = imputer
        self.network = network

    def rescore(self, values: np.ndarray, probabilities: np.ndarray) -> None:
        """Overwrite the probabilities of records with missing values.

        Args:
            values: (n, n_columns), validated, missing as NaN.
            probabilities: (n,), the graph's; those of complete records are not changed.
        """
        missing = self.imputer.missing_mask(values)
        rows = np.flatnonzero(missing.any(axis=1))
        if len(rows) > 1:
            rows = rows[order_by_pattern(missing[rows])]
        for start in range(0, len(rows), IMPUTATION_ROWS_PER_BLOCK):
            block = rows[start : start + IMPUTATION_ROWS_PER_BLOCK]
            probabilities[block] = self.probabilities(values[block])

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities of the positive outcome.

        **Shape**: (n, n_columns), validated, missing as NaN → float64 (n,).
        """
        return to_probabilities(self.log_odds(values))

    def log_odds(self, values: np.ndarray) -> np.ndarray:
        """Return the log-odds of the positive outcome.

        **Shape**: (n, n_columns), validated, missing as NaN → float64 (n,).
        """
        imputed = self.imputer.impute(values)
        log_odds, gradients = self.network.log_odds_and_gradients(imputed.features)
        return log_odds * shrinkage(imputed.variances(gradients))


def shrinkage(variances: np.ndarray) -> np.ndarray:
    """Return the factors on log-odds with these variances: 1 for variance 0, smaller above."""
    return 1 / np.sqrt(1 + np.pi / 8 * variances)


def load_missing_value_scorer(
    schema: Schema, files: Mapping[str, bytes]
) -> MissingValueScorer | None:
    """Load the scorer of records with missing values; None if the graph has to score them.

    Args:
        files: of the artifact.

    Raises:
        ValueError: the files cannot be read, or do not fit together.
    """
    columns = optional_columns(schema)
    if not columns or not {"inputs.json", "explanation.json"} <= files.keys():
        return None
    encoding = _decode(files, "encoding.json", Encoding)
    moments = _decode(files, "inputs.json", MissingValueFile).moments
    if encoding.n_columns != len(schema.columns):
        raise ValueError("encoding.json does not match the schema's columns")
    imputer = ConditionalGaussianImputer(moments, encoding, columns)
    layers = _decode(files, "explanation.json", _LayersOnly).layers
    return MissingValueScorer(imputer, DenseNetwork(layers, len(encoding.features), np.float64))


def build_missing_value_file(
    schema: Schema,
    files: Mapping[str, bytes],
    features: np.ndarray,
    golden: np.ndarray,
    probabilities: np.ndarray,
) -> bytes:
    """Build ``inputs.json`` for an artifact.

    Args:
        files: the artifact's other files.
        features: float64 (n, n_features), of the training rows.
        golden: (k, n_columns), the golden rows.
        probabilities: (k,), the graph's for the golden rows.

    Raises:
        ValueError: the files do not fit together.
    """
    moments = fit_feature_moments(features)
    unverified = msgspec.json.encode(MissingValueFile(moments=moments, golden_probabilities=[]))
    scorer = load_missing_value_scorer(schema, {**files, "inputs.json": unverified})
    golden_probabilities = np.array(probabilities)
    if scorer is not None:
        scorer.rescore(golden, golden_probabilities)
    return msgspec.json.encode(
        MissingValueFile(moments=moments, golden_probabilities=golden_probabilities.tolist())
    )


def load_golden_probabilities(files: Mapping[str, bytes]) -> Sequence[float] | None:
    """Return the golden probabilities in ``inputs.json``; None without that file.

    Raises:
        ValueError: the file cannot be read.
    """
    if "inputs.json" not in files:
        return None
    return _decode(files, "inputs.json", MissingValueFile).golden_probabilities


def optional_columns(schema: Schema) -> Sequence[int]:
    """Return the indices of the columns that may be missing."""
    return [i for i, column in enumerate(schema.columns) if not column.required]


def _decode(files: Mapping[str, bytes], name: str, file_type: type[_T]) -> _T:
    try:
        return msgspec.json.decode(files[name], type=file_type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from error
