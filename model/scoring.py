"""Values → probabilities and answers, by the artifact's ONNX graph.

Imports neither Keras, TensorFlow, pandas nor scikit-learn; ONNX Runtime only when a graph is
opened.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from model.artifact import Artifact, Golden
from model.errors import ArtifactDamaged, GoldenRowsDiffer
from model.manifest import Manifest
from model.remarks import Caution, Familiar, Remarks
from model.schema import Schema

GOLDEN_TOLERANCE = 1e-6


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
    """What the graph gives for n records, before it is put into words.

    Attributes:
        probabilities: float32 (n,), of the positive outcome.
        remarks: by row, where there is anything to remark.
    """

    probabilities: np.ndarray
    remarks: Mapping[int, Remarks]


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
        return self._session.run([self._output], {"values": values})[0][:, 0]

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

    Raises:
        ArtifactDamaged: the graph cannot be opened.
        GoldenRowsDiffer: the graph does not give the answers that it was saved with.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.manifest: Manifest = artifact.manifest
        self.schema: Schema = artifact.schema
        where = f"version {artifact.folder.name}"
        try:
            self.graph = Graph(artifact.files["model.onnx"])
            golden = msgspec.json.decode(artifact.files["golden.json"], type=Golden)
            difference = _worst_difference(self.graph, golden)
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

    def score(self, values: np.ndarray) -> Scores:
        """Score n records; row i of the answer belongs to row i.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.
        """
        return Scores(self.graph.probabilities(values), self._familiar.remarks(values))

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


def _worst_difference(graph: Graph, golden: Golden) -> float:
    found = graph.probabilities(np.array(golden.values, dtype=np.float32))
    return float(np.abs(found - np.array(golden.probabilities)).max())
