"""One recipe fitted on some rows of a table: preprocessing and network, everything inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from sklearn.compose import ColumnTransformer

from model.calibration import Calibration
from model.evaluation import holdout
from model.features import ConditionalGaussianImputer, fit_feature_moments
from model.inference import DenseNetwork, MissingValueScorer, optional_columns
from model.schema import Schema
from model.training import (
    FitResult,
    TrainingConfig,
    append_layers,
    fit_network,
    is_import_path,
    predict,
    read_layers,
    scale_output,
)
from pipelines.data import Table, build_preprocessing, read_encoding


@dataclass(frozen=True)
class FittedPipeline:
    """A fitted preprocessing and the network that was trained behind it.

    Attributes:
        rows: the rows of the table that both were fitted on.
    """

    preprocessing: ColumnTransformer
    fit: FitResult
    rows: np.ndarray

    def predict(self, table: Table, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """float64 (n,): probabilities of rows of a table of the same schema."""
        return predict(self.fit.network, self.preprocessing.transform(table.frame.iloc[rows]))

    def with_calibration(self, calibration: Calibration) -> FittedPipeline:
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
    if config.validation_fraction:
        train, held = holdout(
            labels[rows], table.groups[rows], share=config.validation_fraction, seed=config.seed
        )
        rows, held = rows[train], rows[held]
    preprocessing = build_preprocessing(table.schema)
    features = preprocessing.fit_transform(frame.iloc[rows])
    validation = None
    if held is not None:
        validation = (preprocessing.transform(frame.iloc[held]), labels[held])
    fit = fit_network(features, labels[rows], config, validation=validation, progress=progress)
    return FittedPipeline(preprocessing, fit, rows)


Predictor = Callable[[np.ndarray], np.ndarray]
"""float32 (n, n_columns), missing as NaN → (n,) probabilities."""


def build_predictor(fitted: FittedPipeline, table: Table, config: TrainingConfig) -> Predictor:
    """The answers that a version would give which is made of a fitted pipeline, to about 1e-6.

    Args:
        table, config: that it was fitted on, and by.
    """
    schema: Schema = table.schema
    encoding = read_encoding(schema, fitted.preprocessing)
    columns = optional_columns(schema)
    if not columns or is_import_path(config.activation):
        return lambda values: predict(fitted.fit.network, encoding.encode(values))
    inputs = fit_feature_moments(encoding.encode(table.values[fitted.rows]))
    network = DenseNetwork(read_layers(fitted.fit.network), len(encoding.features), np.float64)
    return MissingValueScorer(
        ConditionalGaussianImputer(inputs, encoding, columns), network
    ).probabilities
