"""One recipe fitted on some rows of a table: preprocessing and network, everything inside."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.compose import ColumnTransformer

from model.calibrators import Calibration
from model.config import TrainingConfig
from model.network import append_layers, scale_output
from model.splits import holdout
from model.training import Fit, fit_network, predict
from pipelines.preprocessing import build_preprocessing
from pipelines.tables import Table


@dataclass(frozen=True)
class FittedPipeline:
    """A fitted preprocessing and the network that was trained behind it.

    Attributes:
        rows: the rows of the table that both were fitted on.
    """

    preprocessing: ColumnTransformer
    fit: Fit
    rows: np.ndarray

    def predict(self, table: Table, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """float64 (n,): probabilities of rows of a table of the same schema."""
        return predict(self.fit.network, self.preprocessing.transform(table.frame.iloc[rows]))

    def absorb(self, calibration: Calibration) -> FittedPipeline:
        """The same with a network that gives calibrated probabilities.

        A line is put into the weights of the network in hand, which is changed; steps become further
        layers.
        """
        network = append_layers(self.fit.network, calibration.layers())
        if calibration.method in ("platt", "temperature"):
            scale_output(network, calibration.slope, calibration.intercept)
        return replace(self, fit=replace(self.fit, network=network))


def fit_pipeline(
    table: Table, config: TrainingConfig, rows: np.ndarray | None = None, *, progress: bool = False
) -> FittedPipeline:
    """Fit a recipe on rows of a table.

    A validation share is set aside first, so that the preprocessing does not see it either.

    Args:
        rows: numbers of the rows to fit on; all unless given.
        progress: show a bar where stderr is a terminal.
    """
    rows = np.arange(len(table)) if rows is None else rows
    labels, frame, held = table.labels, table.frame, None
    if config.validation_share:
        train, held = holdout(
            labels[rows], table.groups[rows], share=config.validation_share, seed=config.seed
        )
        rows, held = rows[train], rows[held]
    preprocessing = build_preprocessing(table.schema)
    features = preprocessing.fit_transform(frame.iloc[rows])
    validation = None
    if held is not None:
        validation = (preprocessing.transform(frame.iloc[held]), labels[held])
    fit = fit_network(features, labels[rows], config, validation=validation, progress=progress)
    return FittedPipeline(preprocessing, fit, rows)
