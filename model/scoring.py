"""Values → probabilities and answers, by the artifact's ONNX graph.

Imports neither Keras, TensorFlow, pandas nor scikit-learn; ONNX Runtime only when a graph is
opened. Importing ONNX Runtime starts a thread, and a process that forks afterwards hangs when it
is stopped: so a server opens its graph after the fork.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from model.artifact import Artifact, Golden
from model.errors import ArtifactDamaged, GoldenRowsDiffer
from model.manifest import Manifest
from model.schema import Schema

GOLDEN_TOLERANCE = 1e-6


class Caution(msgspec.Struct, frozen=True):
    """Why an answer deserves less trust: a value of the record that training did not see."""

    field: str
    code: str
    message: str


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


class Graph:
    """An ONNX graph, opened with one thread."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime  # only now, see the module's docstring

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """float32 (n, n_columns), missing as NaN → float32 (n,) of the positive outcome."""
        return self._session.run(None, {"values": values})[0][:, 0]


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
        low, high, levels = [], [], []
        for index, column in enumerate(self.schema.columns):
            seen = self.manifest.ranges[column.name]
            if seen.codes is not None:
                levels.append((index, frozenset(float(code) for code in seen.codes)))
                low.append(-math.inf)
                high.append(math.inf)
            else:  # a column that was missing throughout has no range: every value is outside
                low.append(math.inf if seen.minimum is None else seen.minimum)
                high.append(-math.inf if seen.maximum is None else seen.maximum)
        self._low = np.array(low, dtype=np.float32)
        self._high = np.array(high, dtype=np.float32)
        self._levels = levels

    def predict(self, values: np.ndarray) -> list[Prediction]:
        """Answer n records; answer i belongs to row i.

        Args:
            values: float32 (n, n_columns), validated, missing as NaN.
        """
        threshold, outcome = self.manifest.threshold, self.schema.outcome
        odd = self._odd_rows(values)
        return [
            Prediction(
                probability,
                outcome.positive if probability >= threshold else outcome.negative,
                threshold,
                *(self._remarks(values[row]) if row in odd else ((), ())),
            )
            for row, probability in enumerate(self.graph.probabilities(values).tolist())
        ]

    def _odd_rows(self, values: np.ndarray) -> frozenset[int]:
        """Rows about which there may be something to remark; nearly all have nothing."""
        # NaN compares as False, so a missing value is not inside either.
        inside = (values >= self._low) & (values <= self._high)
        for index, seen in self._levels:
            column = values[:, index].tolist()
            if not seen.issuperset(column):
                inside[:, index] = [code in seen for code in column]
        return frozenset(np.flatnonzero(~inside.all(axis=1)).tolist())

    def _remarks(self, row: np.ndarray) -> tuple[tuple[str, ...], tuple[Caution, ...]]:
        missing, cautions = [], []
        levels = dict(self._levels)
        for index, (column, value) in enumerate(
            zip(self.schema.columns, row.tolist(), strict=True)
        ):
            seen = self.manifest.ranges[column.name]
            if math.isnan(value):
                missing.append(column.name)
            elif index in levels:
                if value not in levels[index]:
                    message = "no record of the training table has this level"
                    cautions.append(Caution(column.name, "level_not_in_training", message))
            elif not self._low[index] <= value <= self._high[index]:
                message = "the training table never holds it"
                if seen.minimum is not None and seen.maximum is not None:
                    message = f"the training table holds {seen.minimum:g} to {seen.maximum:g}"
                    message += f" {column.unit}" if column.unit else ""
                cautions.append(Caution(column.name, "outside_training_range", message))
        return tuple(missing), tuple(cautions)


def _worst_difference(graph: Graph, golden: Golden) -> float:
    found = graph.probabilities(np.array(golden.values, dtype=np.float32))
    return float(np.abs(found - np.array(golden.probabilities)).max())
