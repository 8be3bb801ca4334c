"""Values → probabilities and answers: by the artifact's ONNX graph, and where something is missing
by the same network with conditional means in its place (:mod:`model.inference.missing_values`).

Imports neither Keras, TensorFlow, pandas nor scikit-learn; ONNX Runtime only when a graph is
opened.
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
    """The answer to one record.

    Attributes:
        probability: of the positive outcome, 0 to 1.
        label: the outcome's positive label where the probability reaches the threshold.
        missing: the columns that were missing, in schema order.
        warnings: values outside what training saw.
    """

    probability: float
    label: str
    threshold: float
    missing: tuple[str, ...]
    warnings: tuple[InputWarning, ...]


class Scores(NamedTuple):
    """What the model gives for n records, before it is put into words.

    Attributes:
        probabilities: float32 (n,), of the positive outcome.
        notes: by row, where there is anything to remark.
    """

    probabilities: np.ndarray
    notes: Mapping[int, InputNotes]


class Scorer:
    """Answers records with one version of a model.

    Attributes:
        missing_value_scorer: what answers records with missing values; None where the graph does, with the
            means of the training rows: for a version that was written before there was anything
            else, and for a network whose layers are not in the artifact as numbers.

    Raises:
        ArtifactDamaged: the graph, or what answers incomplete records, cannot be opened.
        GoldenRowsDiffer: the answers are not those that the version was saved with.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.manifest: Manifest = artifact.manifest
        self.schema: Schema = artifact.schema
        where = f"version {artifact.folder.name}"
        try:
            self.graph = OnnxSession(artifact.files["model.onnx"])
            golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows)
            rows = np.array(golden.values, dtype=np.float32)
            difference = max_difference(self.graph.probabilities(rows), golden.probabilities)
        except Exception as error:  # ONNX Runtime has a class of its own for each status
            raise ArtifactDamaged(
                f"{where}: the graph or its golden rows cannot be opened ({type(error).__name__})"
            ) from error
        if not difference <= PROBABILITY_TOLERANCE:
            raise GoldenRowsDiffer(
                f"{where}: the graph differs by {difference:.1e} from the answers it was saved with"
            )
        if set(self.manifest.ranges) != set(self.schema.column_names):
            raise ArtifactDamaged(f"{where}: its training ranges are not those of its columns")
        self._range_checker = TrainingRangeChecker(self.schema, self.manifest.ranges)
        try:
            self.missing_value_scorer = load_missing_value_scorer(self.schema, artifact.files)
            answers = load_golden_probabilities(artifact.files)
            difference = 0.0
            if answers is not None:
                difference = max_difference(self.probabilities(rows), answers)
        except ValueError as error:
            raise ArtifactDamaged(f"{where}: missing values cannot be filled: {error}") from error
        if not difference <= PROBABILITY_TOLERANCE:
            raise GoldenRowsDiffer(
                f"{where}: answers to records with missing values differ by {difference:.1e} from "
                "those it was saved with"
            )

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """float32 (n, n_columns), validated, missing as NaN → float32 (n,)."""
        found = self.graph.probabilities(values)
        if self.missing_value_scorer is not None:
            self.missing_value_scorer.rescore(values, found)
        return found

    def score(self, values: np.ndarray) -> Scores:
        """Score n records; row i of the answer belongs to row i.

        What the graph gives for complete records is not touched, so that it is the same to the last
        bit whatever else is in the batch.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.
        """
        remarks = self._range_checker.check(values)
        if not remarks:  # so nothing is missing
            return Scores(self.graph.probabilities(values), remarks)
        return Scores(self.probabilities(values), remarks)

    def predict(self, values: np.ndarray) -> list[Prediction]:
        """Answer n records; answer i belongs to row i.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.
        """
        return self.predictions(self.score(values))

    def predictions(self, scores: Scores) -> list[Prediction]:
        """The answers to what was scored, with their labels."""
        threshold, outcome = self.manifest.threshold, self.schema.outcome
        nothing = InputNotes()
        answers = []
        for row, probability in enumerate(scores.probabilities.tolist()):
            label = outcome.positive if probability >= threshold else outcome.negative
            remarks = scores.notes.get(row, nothing)
            answers.append(
                Prediction(probability, label, threshold, remarks.missing, remarks.warnings)
            )
        return answers
