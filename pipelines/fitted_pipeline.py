"""A recipe fitted on rows of a table: the preprocessing and the network."""

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
    predict,
    read_layers,
    scale_output,
)
from pipelines.data import Table, build_preprocessing, read_encoding


@dataclass(frozen=True)
class FittedPipeline:
    """A fitted preprocessing and the network that was trained on its features.

    Attributes:
        preprocessing: the fitted scikit-learn preprocessing.
        fit: the trained network and its history.
        rows: int, indices of the table rows that both were fitted on.
    """

    preprocessing: ColumnTransformer
    fit: FitResult
    rows: np.ndarray

    def predict(self, table: Table, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Return float64 (n,), the probabilities of rows of a table with the same schema."""
        return predict(self.fit.network, self.preprocessing.transform(table.frame.iloc[rows]))

    def with_calibration(self, calibration: Calibration) -> FittedPipeline:
        """Return a pipeline whose network gives calibrated probabilities.

        Platt and temperature scaling change the weights of this pipeline's network in place;
        isotonic regression appends layers.
        """
        network = append_layers(self.fit.network, calibration.layers())
        if calibration.method in ("platt", "temperature"):
            scale_output(network, calibration.slope, calibration.intercept)
        return replace(self, fit=replace(self.fit, network=network))


def fit_pipeline(
    table: Table, config: TrainingConfig, rows: np.ndarray | None = None, *, progress: bool = False
) -> FittedPipeline:
    """Fit a recipe on rows of a table.

    The validation rows are set aside first, so the preprocessing is not fitted on them either.

    Args:
        rows: indices of the rows to fit on; None for all rows.
        progress: show a progress bar if stderr is a terminal.
    """
    rows = np.arange(len(table)) if rows is None else rows
    labels, frame, validation_rows = table.labels, table.frame, None
    if config.validation_fraction:
        train, validation = holdout(
            labels[rows], table.groups[rows], share=config.validation_fraction, seed=config.seed
        )
        rows, validation_rows = rows[train], rows[validation]
    preprocessing = build_preprocessing(table.schema)
    features = preprocessing.fit_transform(frame.iloc[rows])
    validation_data = None
    if validation_rows is not None:
        validation_features = preprocessing.transform(frame.iloc[validation_rows])
        validation_data = (validation_features, labels[validation_rows])
    fit = fit_network(features, labels[rows], config, validation=validation_data, progress=progress)
    return FittedPipeline(preprocessing, fit, rows)


Predictor = Callable[[np.ndarray], np.ndarray]
"""Maps float64 (n, n_columns), missing as NaN, to (n,) probabilities."""


def build_predictor(fitted: FittedPipeline, table: Table) -> Predictor:
    """Return a function that predicts as a version of a fitted pipeline would, to about 1e-6.

    Like a version, it fills missing values from the other columns.

    Args:
        table: the table that the pipeline was fitted with.
    """
    schema: Schema = table.schema
    encoding = read_encoding(schema, fitted.preprocessing)
    columns = optional_columns(schema)
    if not columns:
        return lambda values: predict(fitted.fit.network, encoding.encode(values))
    moments = fit_feature_moments(encoding.encode(table.values[fitted.rows]))
    network = DenseNetwork(read_layers(fitted.fit.network), len(encoding.features), np.float64)
    return MissingValueScorer(
        ConditionalGaussianImputer(moments, encoding, columns), network
    ).probabilities
