"""Why one answer is what it is: Shapley values of its columns, in log-odds.

A set of columns is worth the mean of the network's log-odds over a fixed background sample of rows
whose values in those columns are replaced by the record's (Janzing, Minorics and Blöbaum, "Feature
relevance quantification in explainable AI", 2020). No column at all is worth the mean log-odds of
the background rows, all columns are worth the log-odds of the answer, and the contributions, the
Shapley values of the columns, sum to the difference.

Contributions describe the model, not causes: they say what the network made of a value, and not
what would become of a patient in whom it were changed. They are relative to the background sample.

**Where something is missing** the answer is the network's log-odds at the features that were filled
with their means given the known ones, drawn towards 0 by what is not known of them
(:mod:`model.inference.missing_values`). A missing column then plays two games, and its contribution is the sum of
its Shapley values in both, which is its Shapley value in the sum of the games:

- the one above, with the filled features in the record's place: what the model made of what the
  other columns let one expect;
- one among the missing columns alone, in which a set of them is worth what the log-odds lose if just
  these are uncertain and the others are what they were filled with: what not knowing took away.

So a column that is known contributes what it would if the filled values were known, and base and
contributions sum to the answer. Where the graph answers, a missing value is the mean of the training
rows, and plays the first game only; and so it is in the background rows at all times.
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
"""Beyond these permutations are sampled: every column more doubles the work of exact values."""
N_PERMUTATION_PAIRS = 64
SHAPLEY_SEED = 0


class Explanation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the columns of one record contributed to its answer: about the model, not causes.

    Attributes:
        base: mean log-odds over the background sample.
        log_odds: of this answer.
        contributions: by column, in schema order; with the base they sum to the log-odds.
        standard_errors: by column, where contributions are estimates; None where they are exact.
    """

    base: float
    log_odds: float
    contributions: dict[str, float]
    standard_errors: dict[str, float] | None = None


class _EncodedRecord(NamedTuple):
    """One record, ready to be explained.

    Attributes:
        features: float64 (n_features,), filled where a value is missing.
        log_odds: the network's for these.
        column_covariance: float64 (n_columns, n_columns), the covariance of what the missing columns add to
            the log-odds, as far as the network is linear; 0 where a column is known.
    """

    features: np.ndarray
    log_odds: float
    column_covariance: np.ndarray

    @property
    def uncertainty_penalty(self) -> float:
        """What the log-odds lose because of all that is missing."""
        return float(self.log_odds * (shrinkage(self.column_covariance.sum()) - 1))


def _uncertainty_penalty(
    log_odds: float, column_covariance: np.ndarray, coalitions: np.ndarray
) -> np.ndarray:
    """What the log-odds lose if the columns of a coalition are uncertain, and no others.

    Args:
        column_covariance: as of :class:`_EncodedRecord`, of the columns that play.
        coalitions: as :data:`model.inference.shapley.Game` describes them.

    Returns:
        float64 (n_coalitions,).
    """
    members = coalitions[:, 1:].astype(np.float64)
    variances = np.einsum("cp,cp->c", members @ column_covariance, members)
    return log_odds * (shrinkage(variances) - 1)


class Explainer:
    """Explains the answers of one version of a model.

    Args:
        missing_value_scorer: the scorer's, which fills what is missing.
        max_exact_columns: a record of more columns is explained by sampling.

    Attributes:
        available: False for an artifact that was written before there were explanations.

    Raises:
        ArtifactDamaged: what explanations need cannot be read, or does not give the answers of the
            graph.
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
                message = f"{self._where}: its answers cannot be explained: {error}"
                raise ArtifactDamaged(message) from error
            if self._coalition_network.encoding.n_columns != len(self._names):
                raise ArtifactDamaged(f"{self._where}: its encoding is not that of its columns")

    def explain(self, values: np.ndarray) -> list[Explanation]:
        """Explain n answers; explanation i belongs to row i.

        Takes one to several milliseconds a record, so whoever asks should limit how many.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.

        Raises:
            ExplanationUnavailable: the artifact was written before there were explanations.
        """
        if self._coalition_network is None:
            raise ExplanationUnavailable(
                f"{self._where} was trained before answers could be explained: "
                "make retrain trains one that can explain"
            )
        explain_one = self._explain_exactly if self._is_exact else self._explain_by_sampling
        return [
            explain_one(self._coalition_network, record)
            for record in self._records(self._coalition_network, values)
        ]

    def _records(self, network: CoalitionNetwork, values: np.ndarray) -> Iterator[_EncodedRecord]:
        """Encode and fill n records, and find how uncertain their missing columns leave them."""
        filled = (
            None
            if self._missing_value_scorer is None
            else self._missing_value_scorer.imputer.impute(values)
        )
        features = network.encoding.encode(values) if filled is None else filled.features
        log_odds, gradients = network.log_odds_and_gradients(features)
        for row, is_missing in enumerate(np.isnan(values).any(axis=1).tolist()):
            column_covariance = np.zeros((len(self._names), len(self._names)))
            if is_missing and filled is not None:
                of_features = filled.covariance(row) * np.outer(gradients[row], gradients[row])
                column_covariance = network.by_column(of_features)
            yield _EncodedRecord(features[row], float(log_odds[row]), column_covariance)

    def _explain_exactly(self, network: CoalitionNetwork, record: _EncodedRecord) -> Explanation:
        """The mean of the Shapley values against each single background row.

        A column in which record and background row agree contributes nothing against that row,
        whatever the others do. Leaving it out of the game halves the coalitions, and of thirteen
        columns about four agree.
        """
        contributions = np.zeros(len(self._names))
        mixtures = network.mixtures(record.features)
        differs = np.asarray(mixtures[:, 1:].any(axis=2))
        for mixture, there, differing in zip(
            mixtures, network.background_log_odds.tolist(), differs, strict=True
        ):
            players = np.flatnonzero(differing)
            game = partial(network.log_odds_of_mixtures, mixture[[0, *(1 + players)]])
            contributions[players] += exact_shapley_values(
                game, len(players), (there, record.log_odds)
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
        """The same, estimated; the same orders of the columns for every record."""
        mixtures = network.mixtures(record.features)

        def worth(coalitions: np.ndarray) -> np.ndarray:
            mean = np.zeros(len(coalitions))
            for mixture in mixtures:
                mean += network.log_odds_of_mixtures(mixture, coalitions)
            return mean / len(mixtures) + _uncertainty_penalty(
                record.log_odds, record.column_covariance, coalitions
            )

        ends = (network.base, record.log_odds + record.uncertainty_penalty)
        found = sampled_shapley_values(
            worth, len(self._names), ends, n_pairs=N_PERMUTATION_PAIRS, seed=SHAPLEY_SEED
        )
        return self._build_explanation(network, record, *found)

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
