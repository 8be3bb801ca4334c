"""The training that a report is about, with the data that the sections read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

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
        table: the table that the version was trained on.
        manifest: the manifest of the saved version.
        config: the config that the network was built and fitted with.
        encoding: the preprocessing.
        weights: kernel, bias, kernel, bias, … of the network, before the calibration.
        calibration: the calibration; the served network contains it.
        n_parameters: the number of parameters of the served network.
        history: the losses per epoch of the training.
        rows: row numbers of the records that the network was fitted to.
        apparent: (n,), the network's probabilities for all records of the table.
        out_of_fold: (n_repeats, n), the probabilities from which the manifest's metrics were
            computed.
        decision: whether the version became the current one, and why; empty without a decision.
    """

    table: Table
    manifest: Manifest
    config: TrainingConfig
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
        """The schema of the table."""
        return self.table.schema

    @cached_property
    def evaluation(self) -> ModelComparison:
        """The metrics of the folds, from the manifest."""
        return self.manifest.decode_metrics("folds", ModelComparison)

    @cached_property
    def at_threshold(self) -> ThresholdPerformance:
        """The performance at the threshold, from the manifest."""
        return self.manifest.decode_metrics("threshold", ThresholdPerformance)

    @property
    def is_private(self) -> bool:
        """True if the schema does not list the file as published: no record may be disclosed."""
        return self.table.sha256 not in self.schema.published

    @property
    def n_positive(self) -> int:
        """The number of records with the positive outcome."""
        return int(self.table.labels.sum())

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """Apply the version's calibration to the probabilities of other, uncalibrated networks."""
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
    """Build the context of a report from an artifact and the results of its training.

    Args:
        artifact: the saved version.
        table: the table that it was trained on.
        weights: the network's weights before the calibration.
        rows, apparent: as in :class:`ReportContext`.
        out_of_fold: (…, n); the leading axes are flattened to repeats.
        decision: as in :class:`ReportContext`.
    """
    calibration = artifact.decode("calibration.json", Calibration)
    calibration_sizes = [
        np.size(array) for layer in calibration.layers() for array in (layer.kernel, layer.bias)
    ]
    return ReportContext(
        table=table,
        manifest=artifact.manifest,
        config=artifact.decode("network.json", TrainingConfig),
        encoding=artifact.decode("encoding.json", Encoding),
        weights=weights,
        calibration=calibration,
        n_parameters=sum([*(weight.size for weight in weights), *calibration_sizes]),
        history=artifact.decode("history.json", dict[str, list[float]]),
        rows=rows,
        apparent=apparent,
        out_of_fold=out_of_fold.reshape(-1, len(table)),
        decision=decision,
    )
