"""Values → probabilities and answers: by the artifact's ONNX graph, and where something is missing
by the same network with conditional means in its place (:mod:`model.incomplete`).

Imports neither Keras, TensorFlow, pandas nor scikit-learn; ONNX Runtime only when a graph is
opened.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from model.artifact import Artifact, Golden
from model.errors import ArtifactDamaged, GoldenRowsDiffer
from model.incomplete import open_incomplete, saved_answers
from model.manifest import Manifest
from model.remarks import Caution, Familiar, Remarks
from model.schema import Schema

GOLDEN_TOLERANCE = 1e-6
ROWS_AT_ONCE = 2_048
"""So that what is worked on stays in a core's cache: a third quicker than 10,000 at once."""


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
    warnings: tuple[Caution, ...]


class Scores(NamedTuple):
    """What the model gives for n records, before it is put into words.

    Attributes:
        probabilities: float32 (n,), of the positive outcome.
        remarks: by row, where there is anything to remark.
    """

    probabilities: np.ndarray
    remarks: Mapping[int, Remarks]


_LEAST = (
    b'\x08\x08:7\n\x10\n\x01a\x12\x01b"\x08Identity\x12\x01gZ\x0f\n\x01a\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""An ONNX model of one Identity node."""


def set_up_runtime() -> None:
    """Have ONNX Runtime do what it does once a process, for the first graph that is opened.

    It registers its operators then. Processes that are forked from one which has done so share what
    it wrote and do not load the code that wrote it: each is 4 MB smaller and ready sooner.
    """
    Graph(_LEAST)


class Graph:
    """An ONNX graph, opened with one thread."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime  # only now: what describes or trains a model needs none

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # What is known of a batch's memory pays only where batches are of one size, and memory that
        # is kept from a great one only where another follows.
        options.enable_mem_pattern = options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )
        self._output = self._session.get_outputs()[0].name
        self._of_thread = threading.local()

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """float32 (n, n_columns), missing as NaN → float32 (n,) of the positive outcome."""
        if len(values) == 1:
            return self._of_one(values)
        parts = [
            self._session.run([self._output], {"values": values[start : start + ROWS_AT_ONCE]})[0]
            for start in range(0, len(values) or 1, ROWS_AT_ONCE)
        ]
        return np.concatenate(parts)[:, 0]

    def _of_one(self, values: np.ndarray) -> np.ndarray:
        """The usual request has one row, for which finding memory takes longer than scoring."""
        try:
            binding, given, found = self._of_thread.bound
        except AttributeError:
            binding = self._session.io_binding()
            given, found = np.empty_like(values, np.float32), np.empty((1, 1), np.float32)
            binding.bind_input("values", "cpu", 0, np.float32, given.shape, given.ctypes.data)
            binding.bind_output(self._output, "cpu", 0, np.float32, found.shape, found.ctypes.data)
            self._of_thread.bound = binding, given, found
        given[:] = values
        self._session.run_with_iobinding(binding)
        return found[0].copy()


class Scorer:
    """Answers records with one version of a model.

    Attributes:
        incomplete: what answers records with missing values; None where the graph does, with the
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
            self.graph = Graph(artifact.files["model.onnx"])
            golden = msgspec.json.decode(artifact.files["golden.json"], type=Golden)
            rows = np.array(golden.values, dtype=np.float32)
            difference = _worst_difference(self.graph.probabilities(rows), golden.probabilities)
        except Exception as error:  # ONNX Runtime has a class of its own for each status
            raise ArtifactDamaged(
                f"{where}: the graph or its golden rows cannot be opened ({type(error).__name__})"
            ) from error
        if not difference <= GOLDEN_TOLERANCE:
            raise GoldenRowsDiffer(
                f"{where}: the graph differs by {difference:.1e} from the answers it was saved with"
            )
        if set(self.manifest.ranges) != set(self.schema.column_names):
            raise ArtifactDamaged(f"{where}: its training ranges are not those of its columns")
        self._familiar = Familiar(self.schema, self.manifest.ranges)
        try:
            self.incomplete = open_incomplete(self.schema, artifact.files)
            answers = saved_answers(artifact.files)
            difference = 0.0
            if answers is not None:
                difference = _worst_difference(self.probabilities(rows), answers)
        except ValueError as error:
            raise ArtifactDamaged(f"{where}: missing values cannot be filled: {error}") from error
        if not difference <= GOLDEN_TOLERANCE:
            raise GoldenRowsDiffer(
                f"{where}: answers to records with missing values differ by {difference:.1e} from "
                "those it was saved with"
            )

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """float32 (n, n_columns), validated, missing as NaN → float32 (n,)."""
        found = self.graph.probabilities(values)
        if self.incomplete is not None:
            self.incomplete.answer(values, found)
        return found

    def score(self, values: np.ndarray) -> Scores:
        """Score n records; row i of the answer belongs to row i.

        What the graph gives for complete records is not touched, so that it is the same to the last
        bit whatever else is in the batch.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.
        """
        remarks = self._familiar.remarks(values)
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
        nothing = Remarks()
        answers = []
        for row, probability in enumerate(scores.probabilities.tolist()):
            label = outcome.positive if probability >= threshold else outcome.negative
            remarks = scores.remarks.get(row, nothing)
            answers.append(
                Prediction(probability, label, threshold, remarks.missing, remarks.warnings)
            )
        return answers


def _worst_difference(found: np.ndarray, expected: Sequence[float]) -> float:
    return float(np.abs(found - np.array(expected)).max())
