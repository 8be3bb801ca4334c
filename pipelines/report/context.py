"""What a report is about: one training, with everything that its sections read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from model.artifacts import Artifact, Manifest
from model.calibration import Calibration
from model.evaluation import ModelComparison, ThresholdPerformance
from model.features import Encoding
from model.logit import to_log_odds, to_probabilities
from model.schema import Schema
from model.training import TrainingConfig
from pipelines.data import Table


@dataclass(frozen=True)
class ReportContext:
    """One training.

    Attributes:
        manifest: of the version that was saved.
        encoding: its preprocessing.
        weights: kernel, bias, kernel, bias, … of its network, as training left them.
        calibration: which the network that serves has absorbed.
        n_parameters: of the network that serves.
        history: of its training.
        rows: numbers of the table's rows that it was fitted to.
        apparent: (n,), its probabilities for the whole table.
        out_of_fold: (n_repeats, n), the probabilities that the manifest's figures are about.
        decision: whether the version became current, and why; empty where nobody has decided.
    """

    table: Table
    manifest: Manifest
    encoding: Encoding
    weights: Sequence[np.ndarray]
    calibration: Calibration
    n_parameters: int
    history: Mapping[str, Sequence[float]]
    rows: np.ndarray
    apparent: np.ndarray
    out_of_fold: np.ndarray
    decision: str = ""

    @property
    def schema(self) -> Schema:
        """Of the table."""
        return self.table.schema

    @property
    def config(self) -> TrainingConfig:
        """How the network was built and fitted."""
        return msgspec.convert(self.manifest.training, TrainingConfig)

    @cached_property
    def evaluation(self) -> ModelComparison:
        """The figures of the folds, from the manifest."""
        return msgspec.convert(self.manifest.metrics["folds"], ModelComparison)

    @cached_property
    def at_threshold(self) -> ThresholdPerformance:
        """What the threshold does, from the manifest."""
        return msgspec.convert(self.manifest.metrics["threshold"], ThresholdPerformance)

    @property
    def is_private(self) -> bool:
        """Whether the rows of the table must stay where they are."""
        return self.table.sha256 not in self.schema.published

    @property
    def n_positive(self) -> int:
        """Records with the positive outcome."""
        return int(self.table.labels.sum())

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """What the version's calibration makes of the probabilities of networks without one."""
        if self.calibration.method == "none":
            return probabilities
        return to_probabilities(self.calibration.apply(to_log_odds(probabilities)))


def build_report_context(
    artifact: Artifact,
    table: Table,
    weights: Sequence[np.ndarray],
    rows: np.ndarray,
    apparent: np.ndarray,
    out_of_fold: np.ndarray,
    *,
    decision: str = "",
) -> ReportContext:
    """Everything that an artifact holds itself, and what only its training knows.

    Args:
        weights: of the network before it absorbed a calibration.
        rows, apparent: as of :class:`ReportContext`.
        out_of_fold: (…, n)
    """
    files = artifact.files
    calibration = msgspec.json.decode(files.get("calibration.json", b"{}"), type=Calibration)
    further = [np.size(part) for a in calibration.layers() for part in (a.kernel, a.bias)]
    return ReportContext(
        table=table,
        manifest=artifact.manifest,
        encoding=msgspec.json.decode(files["encoding.json"], type=Encoding),
        weights=weights,
        calibration=calibration,
        n_parameters=sum([*(weight.size for weight in weights), *further]),
        history=msgspec.json.decode(files["history.json"], type=dict[str, list[float]]),
        rows=rows,
        apparent=apparent,
        out_of_fold=out_of_fold.reshape(-1, len(table)),
        decision=decision,
    )
