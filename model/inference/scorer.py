"""Scoring of validated records: probabilities, labels and notes.

Complete records are scored by the artifact's ONNX graph, records with missing values by the same
network with imputed values (:mod:`model.inference.missing_values`).

The module imports neither Keras, TensorFlow, pandas nor scikit-learn, and ONNX Runtime only when a
graph is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from model.artifacts import (
    PROBABILITY_TOLERANCE,
    Artifact,
    GoldenRows,
    Manifest,
    max_difference,
)
from model.errors import ArtifactDamaged, GoldenRowsDiffer
from model.inference.input_warnings import InputNotes, InputWarning, TrainingRangeChecker
from model.inference.missing_values import load_golden_probabilities, load_missing_value_scorer
from model.inference.onnx_session import OnnxSession
from model.schema import Schema


class Prediction(msgspec.Struct, frozen=True):
    """The prediction for one record.

    Attributes:
        probability: of the positive outcome, 0 to 1.
        label: the outcome's positive label if the probability reaches the threshold, else the
            negative one.
        threshold: smallest probability that gets the positive label.
        missing: names of the columns with a missing value, in schema order.
        warnings: values outside the training data, in schema order.
    """

    probability: float
    label: str
    threshold: float
    missing: tuple[str, ...]
    warnings: tuple[InputWarning, ...]


class Scores(NamedTuple):
    """Probabilities and notes of n records.

    Attributes:
        probabilities: float32 (n,), of the positive outcome.
        notes: by row, for rows with a missing value or a warning.
    """

    probabilities: np.ndarray
    notes: Mapping[int, InputNotes]


class Scorer:
    """Scorer of one model version.

    Attributes:
        missing_value_scorer: the scorer of records with missing values. None where the graph scores
            them with the means of the training rows: for a schema without optional columns, and for
            a version saved before imputation existed.

    Raises:
        ArtifactDamaged: the graph or the files of the imputation cannot be used.
        GoldenRowsDiffer: the probabilities of the golden rows differ from the saved ones.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.manifest: Manifest = artifact.manifest
        self.schema: Schema = artifact.schema
        where = f"version {artifact.folder.name}"
        try:
            self.graph = OnnxSession(artifact.files["model.onnx"])
            golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows)
            rows = np.array(golden.values, dtype=np.float64)
            difference = max_difference(self.graph.probabilities(rows), golden.probabilities)
        except Exception as error:  # ONNX Runtime raises a class for each status
            raise ArtifactDamaged(
                f"{where}: the graph or the golden rows cannot be read ({type(error).__name__})"
            ) from error
        if not difference <= PROBABILITY_TOLERANCE:
            raise GoldenRowsDiffer(
                f"{where}: the graph's golden probabilities differ by {difference:.1e} "
                "from the saved ones"
            )
        if set(self.manifest.ranges) != set(self.schema.column_names):
            raise ArtifactDamaged(
                f"{where}: the training ranges in the manifest do not match the schema's columns"
            )
        self._range_checker = TrainingRangeChecker(self.schema, self.manifest.ranges)
        try:
            self.missing_value_scorer = load_missing_value_scorer(self.schema, artifact.files)
            expected = load_golden_probabilities(artifact.files)
            difference = 0.0
            if expected is not None:
                difference = max_difference(self.probabilities(rows), expected)
        except ValueError as error:
            raise ArtifactDamaged(f"{where}: missing values cannot be imputed: {error}") from error
        if not difference <= PROBABILITY_TOLERANCE:
            raise GoldenRowsDiffer(
                f"{where}: with imputed values, the golden probabilities differ by "
                f"{difference:.1e} from the saved ones"
            )

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Return the probabilities of the positive outcome.

        **Shape**: float64 (n, n_columns), validated, missing as NaN → float32 (n,).
        """
        probabilities = self.graph.probabilities(values)
        if self.missing_value_scorer is not None:
            self.missing_value_scorer.rescore(values, probabilities)
        return probabilities

    def score(self, values: np.ndarray) -> Scores:
        """Return probabilities and notes of n records; probability i belongs to row i.

        The graph's probability of a complete record is returned unchanged, so it is the same to the
        last bit whatever other records are in the batch.

        Args:
            values: float64 (n, n_columns), validated, missing as NaN.
        """
        notes = self._range_checker.check(values)
        if not notes:  # no value is missing
            return Scores(self.graph.probabilities(values), notes)
        return Scores(self.probabilities(values), notes)

    def predict(self, values: np.ndarray) -> list[Prediction]:
        """Return the predictions for n records; prediction i belongs to row i.

        Args:
            values: float64 (n, n_columns), validated, missing as NaN.
        """
        return self.predictions(self.score(values))

    def predictions(self, scores: Scores) -> list[Prediction]:
        """Return the predictions for scored records, with their labels."""
        threshold, outcome = self.manifest.threshold, self.schema.outcome
        no_notes = InputNotes()
        predictions = []
        for row, probability in enumerate(scores.probabilities.tolist()):
            label = outcome.positive if probability >= threshold else outcome.negative
            notes = scores.notes.get(row, no_notes)
            predictions.append(
                Prediction(probability, label, threshold, notes.missing, notes.warnings)
            )
        return predictions
