"""Explanations of single predictions: Shapley values of the columns, in log-odds.

The worth of a coalition of columns is the mean log-odds of the network over a fixed background
sample whose values in those columns are replaced by the record's (Janzing, Minorics and Blöbaum,
"Feature relevance quantification in explainable AI", 2020). The worth of the empty coalition is the
mean log-odds of the background rows. The worth of all columns is the log-odds of the prediction.
The contributions, which are the Shapley values of the columns, sum to the difference.

Contributions describe the model, not causes. They say how the network used a value, and not what
would happen to a patient whose value changed. They are relative to the background sample.

**Missing values.** The prediction is the network's log-odds at the imputed features, shrunk towards
0 by their remaining uncertainty (:mod:`model.inference.missing_values`). The contribution of a
missing column is the sum of its Shapley values in two games, which is its Shapley value in the sum
of the games:

- the game above, with the imputed features as the record's: the effect of the imputed value;
- a game among the missing columns only, in which the worth of a coalition is the change of the
  log-odds if these columns are uncertain and the others have their imputed values: the effect of
  not knowing the value.

So a known column contributes as much as if the imputed values were known, and base and
contributions sum to the prediction's log-odds. Where the graph scores records with missing values,
it fills them with the means of the training rows, and only the first game is played. Missing values
of background rows always have these means.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np

from model.artifacts import Artifact
from model.errors import ArtifactDamaged, ExplanationUnavailable
from model.inference.coalition_network import CoalitionNetwork, load_coalition_network
from model.inference.missing_values import MissingValueScorer, shrinkage
from model.inference.shapley import exact_shapley_values, sampled_shapley_values

MAX_EXACT_COLUMNS = 15
"""With more columns, permutations are sampled: each column doubles the cost of exact values."""
N_PERMUTATION_PAIRS = 64
SHAPLEY_SEED = 0


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Contributions of a record's columns to its prediction; they describe the model, not causes.

    Attributes:
        base: mean log-odds over the background sample.
        log_odds: of this prediction.
        contributions: by column, in schema order; base and contributions sum to the log-odds.
        standard_errors: by column, where contributions are estimates; None where they are exact.
    """

    base: float
    log_odds: float
    contributions: dict[str, float]
    standard_errors: dict[str, float] | None = None


class _EncodedRecord(NamedTuple):
    """One record with imputed features.

    Attributes:
        features: float64 (n_features,), without missing values.
        log_odds: of the network at these features.
        column_covariance: float64 (n_columns, n_columns), the covariance of the missing columns'
            terms in the log-odds, with the network linearised at the features; 0 for known columns.
    """

    features: np.ndarray
    log_odds: float
    column_covariance: np.ndarray

    @property
    def uncertainty_penalty(self) -> float:
        """Change of the log-odds by the uncertainty of all missing columns."""
        return float(self.log_odds * (shrinkage(self.column_covariance.sum()) - 1))


def _uncertainty_penalty(
    log_odds: float, column_covariance: np.ndarray, coalitions: np.ndarray
) -> np.ndarray:
    """Compute the change of the log-odds if only the columns of a coalition are uncertain.

    Args:
        column_covariance: as in :class:`_EncodedRecord`, of the players.
        coalitions: as :data:`model.inference.shapley.Game` takes them.

    Returns:
        float64 (n_coalitions,).
    """
    members = coalitions[:, 1:].astype(np.float64)
    variances = np.einsum("cp,cp->c", members @ column_covariance, members)
    return log_odds * (shrinkage(variances) - 1)


class Explainer:
    """Explainer of one model version's predictions.

    Args:
        missing_value_scorer: the scorer's, which imputes missing values.
        max_exact_columns: with more columns, contributions are estimated by sampling.

    Attributes:
        available: False for a version without ``explanation.json``.

    Raises:
        ArtifactDamaged: the files of the explanations cannot be read, or their network differs from
            the graph.
    """

    def __init__(
        self,
        artifact: Artifact,
        missing_value_scorer: MissingValueScorer | None,
        *,
        max_exact_columns: int = MAX_EXACT_COLUMNS,
    ) -> None:
        self._where = f"version {artifact.folder.name}"
        self._names = artifact.schema.column_names
        self._is_exact = len(self._names) <= max_exact_columns
        self._coalition_network: CoalitionNetwork | None = None
        self._missing_value_scorer = missing_value_scorer
        self.available = "explanation.json" in artifact.files
        if self.available:
            try:
                self._coalition_network = load_coalition_network(artifact.files)
            except ValueError as error:
                message = f"{self._where}: explanations cannot be computed: {error}"
                raise ArtifactDamaged(message) from error
            if self._coalition_network.encoding.n_columns != len(self._names):
                raise ArtifactDamaged(
                    f"{self._where}: encoding.json does not match the schema's columns"
                )

    def explain(self, values: np.ndarray) -> list[Explanation]:
        """Explain n predictions; explanation i belongs to row i.

        This takes one to several milliseconds a record, so callers should limit the records.

        Args:
            values: float64 (n, n_columns), validated, missing as NaN.

        Raises:
            ExplanationUnavailable: the version has no ``explanation.json``.
        """
        if self._coalition_network is None:
            raise ExplanationUnavailable(
                f"{self._where} was trained without the data that explanations need: "
                "make retrain trains a version with it"
            )
        explain_one = self._explain_exactly if self._is_exact else self._explain_by_sampling
        return [
            explain_one(self._coalition_network, record)
            for record in self._records(self._coalition_network, values)
        ]

    def _records(self, network: CoalitionNetwork, values: np.ndarray) -> Iterator[_EncodedRecord]:
        """Encode and impute n records, and compute the covariance of their missing columns."""
        imputed = (
            None
            if self._missing_value_scorer is None
            else self._missing_value_scorer.imputer.impute(values)
        )
        features = network.encoding.encode(values) if imputed is None else imputed.features
        log_odds, gradients = network.log_odds_and_gradients(features)
        for row, is_missing in enumerate(np.isnan(values).any(axis=1).tolist()):
            column_covariance = np.zeros((len(self._names), len(self._names)))
            if is_missing and imputed is not None:
                column_covariance = network.by_column(
                    imputed.covariance(row) * np.outer(gradients[row], gradients[row])
                )
            yield _EncodedRecord(features[row], float(log_odds[row]), column_covariance)

    def _explain_exactly(self, network: CoalitionNetwork, record: _EncodedRecord) -> Explanation:
        """Average the exact Shapley values over games against each single background row.

        A column with the same value in the record and the background row has the contribution 0 in
        that game. Leaving it out halves the coalitions, and of thirteen columns about four agree.
        """
        contributions = np.zeros(len(self._names))
        mixtures = network.mixtures(record.features)
        differs = np.asarray(mixtures[:, 1:].any(axis=2))
        for mixture, background_log_odds, differing in zip(
            mixtures, network.background_log_odds.tolist(), differs, strict=True
        ):
            players = np.flatnonzero(differing)
            game = partial(network.log_odds_of_mixtures, mixture[[0, *(1 + players)]])
            contributions[players] += exact_shapley_values(
                game, len(players), (background_log_odds, record.log_odds)
            )
        contributions /= len(mixtures)
        players = np.flatnonzero(record.column_covariance.diagonal())
        game = partial(
            _uncertainty_penalty,
            record.log_odds,
            record.column_covariance[np.ix_(players, players)],
        )
        contributions[players] += exact_shapley_values(
            game, len(players), (0.0, record.uncertainty_penalty)
        )
        return self._build_explanation(network, record, contributions)

    def _explain_by_sampling(
        self, network: CoalitionNetwork, record: _EncodedRecord
    ) -> Explanation:
        """Estimate the Shapley values from permutations, the same ones for every record."""
        mixtures = network.mixtures(record.features)

        def worth(coalitions: np.ndarray) -> np.ndarray:
            mean = np.zeros(len(coalitions))
            for mixture in mixtures:
                mean += network.log_odds_of_mixtures(mixture, coalitions)
            return mean / len(mixtures) + _uncertainty_penalty(
                record.log_odds, record.column_covariance, coalitions
            )

        ends = (network.base, record.log_odds + record.uncertainty_penalty)
        contributions, errors = sampled_shapley_values(
            worth, len(self._names), ends, n_pairs=N_PERMUTATION_PAIRS, seed=SHAPLEY_SEED
        )
        return self._build_explanation(network, record, contributions, errors)

    def _build_explanation(
        self,
        network: CoalitionNetwork,
        record: _EncodedRecord,
        contributions: np.ndarray,
        errors: np.ndarray | None = None,
    ) -> Explanation:
        return Explanation(
            base=network.base,
            log_odds=record.log_odds + record.uncertainty_penalty,
            contributions=self._by_column(contributions),
            standard_errors=None if errors is None else self._by_column(errors),
        )

    def _by_column(self, numbers: np.ndarray) -> dict[str, float]:
        return dict(zip(self._names, numbers.tolist(), strict=True))
