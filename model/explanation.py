"""Why one answer is what it is: Shapley values of its columns, in log-odds.

A set of columns is worth the mean of the network's log-odds over a fixed background sample of rows
whose values in those columns are replaced by the record's (Janzing, Minorics and Blöbaum, "Feature
relevance quantification in explainable AI", 2020). No column at all is worth the mean log-odds of
the background rows, all columns are worth the log-odds of the answer, and the contributions, the
Shapley values of the columns, sum to the difference.

Contributions describe the model, not causes: they say what the network made of a value, and not
what would become of a patient in whom it were changed. They are relative to the background sample.

A missing value is what it is in the graph: the mean of the training rows.
"""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from model.artifact import Artifact
from model.errors import ArtifactDamaged, ExplanationUnavailable
from model.folding import FoldedNetwork, fold
from model.shapley import exact, sampled

EXACT_COLUMNS = 15
"""Beyond these permutations are sampled: every column more doubles the work of exact values."""
N_PAIRS = 64
SEED = 0


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


class Explainer:
    """Explains the answers of one version of a model.

    Args:
        exact_columns: a record of more columns is explained by sampling.

    Attributes:
        available: False for an artifact that was written before there were explanations.

    Raises:
        ArtifactDamaged: what explanations need cannot be read, or does not give the answers of the
            graph.
    """

    def __init__(self, artifact: Artifact, *, exact_columns: int = EXACT_COLUMNS) -> None:
        self._where = f"version {artifact.folder.name}"
        self._names = artifact.schema.column_names
        self._is_exact = len(self._names) <= exact_columns
        self._folded: FoldedNetwork | None = None
        self.available = "explanation.json" in artifact.files
        if self.available:
            try:
                self._folded = fold(artifact.files)
            except ValueError as error:
                message = f"{self._where}: its answers cannot be explained: {error}"
                raise ArtifactDamaged(message) from error
            if self._folded.encoding.n_columns != len(self._names):
                raise ArtifactDamaged(f"{self._where}: its encoding is not that of its columns")

    def explain(self, values: np.ndarray) -> list[Explanation]:
        """Explain n answers; explanation i belongs to row i.

        Takes one to several milliseconds a record, so whoever asks should limit how many.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.

        Raises:
            ExplanationUnavailable: the artifact was written before there were explanations.
        """
        if self._folded is None:
            raise ExplanationUnavailable(
                f"{self._where} was trained before answers could be explained: "
                "make retrain trains one that can explain"
            )
        explain_one = self._exactly if self._is_exact else self._by_sampling
        found = self._folded.log_odds(values).tolist()
        return [
            explain_one(self._folded, row, log_odds)
            for row, log_odds in zip(values, found, strict=True)
        ]

    def _exactly(self, folded: FoldedNetwork, row: np.ndarray, log_odds: float) -> Explanation:
        """The mean of the Shapley values against each single background row.

        A column in which record and background row agree contributes nothing against that row,
        whatever the others do. Leaving it out of the game halves the coalitions, and of thirteen
        columns about four agree.
        """
        contributions = np.zeros(len(self._names))
        mixtures = folded.mixtures(row)
        differs = np.asarray(mixtures[:, 1:].any(axis=2))
        for mixture, there, differing in zip(
            mixtures, folded.log_odds_there.tolist(), differs, strict=True
        ):
            players = np.flatnonzero(differing)
            game = partial(folded.log_odds_of_mixtures, mixture[[0, *(1 + players)]])
            contributions[players] += exact(game, len(players), (there, log_odds))
        return self._explanation(folded, log_odds, contributions / len(mixtures))

    def _by_sampling(self, folded: FoldedNetwork, row: np.ndarray, log_odds: float) -> Explanation:
        """The same, estimated; the same orders of the columns for every record."""
        mixtures = folded.mixtures(row)

        def mean_log_odds(coalitions: np.ndarray) -> np.ndarray:
            worth = np.zeros(len(coalitions))
            for mixture in mixtures:
                worth += folded.log_odds_of_mixtures(mixture, coalitions)
            return worth / len(mixtures)

        found = sampled(
            mean_log_odds, len(self._names), (folded.base, log_odds), n_pairs=N_PAIRS, seed=SEED
        )
        return self._explanation(folded, log_odds, *found)

    def _explanation(
        self,
        folded: FoldedNetwork,
        log_odds: float,
        contributions: np.ndarray,
        errors: np.ndarray | None = None,
    ) -> Explanation:
        return Explanation(
            base=folded.base,
            log_odds=log_odds,
            contributions=self._by_column(contributions),
            standard_errors=None if errors is None else self._by_column(errors),
        )

    def _by_column(self, numbers: np.ndarray) -> dict[str, float]:
        return dict(zip(self._names, numbers.tolist(), strict=True))
