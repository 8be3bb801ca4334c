"""External validation: discrimination and calibration on the patients of another site."""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from model.artifacts import Artifact
from model.evaluation import (
    CalibrationEstimates,
    Estimate,
    auc,
    bootstrap_statistic,
    brier,
    estimate_calibration,
    estimate_or_none,
    log_loss,
)
from model.inference import Scorer
from model.logit import to_log_odds
from model.training import TrainingConfig
from pipelines.data import ExternalTable, Table
from pipelines.evaluation.folds import SEED
from pipelines.fitted_pipeline import Predictor, build_predictor, fit_pipeline

EXTERNAL_METRICS = {"auc": auc, "log_loss": log_loss, "brier": brier}


class ExternalValidation(msgspec.Struct, frozen=True, kw_only=True):
    """The performance of a model on the table of another site.

    Attributes:
        model: name of the model.
        file, sha256: of the other site's table.
        is_training_table: True if the model was trained on this file.
        n_read, n_records, n_positive: number of records in the file, of predicted records, and of
            predicted records with the positive outcome.
        missing: by column, number of predicted records in which it is missing.
        invalid_cells, left_out: see :class:`pipelines.data.external_table.ExternalTable`.
        estimates: AUC, log loss and Brier score, each with its 95 % interval over patients; the AUC
            is None if all outcomes are equal.
        prevalence_log_loss: log loss of predicting the table's share of positives for every record.
        calibration: slope, intercept, and calibration in the large.
    """

    model: str
    file: str
    sha256: str
    is_training_table: bool
    n_read: int
    n_records: int
    n_positive: int
    missing: dict[str, int]
    invalid_cells: dict[str, int]
    left_out: dict[str, int]
    estimates: dict[str, Estimate | None]
    prevalence_log_loss: float
    calibration: CalibrationEstimates


def validate_version(external_data: ExternalTable, artifact: Artifact) -> ExternalValidation:
    """Evaluate a version, as it is served, on the records of another site."""
    manifest = artifact.manifest
    return validate_predictor(
        external_data,
        Scorer(artifact).probabilities,
        name=f"version {manifest.version}",
        training_sha256=manifest.data.sha256,
    )


def validate_recipe(
    external_data: ExternalTable, table: Table, config: TrainingConfig, *, name: str
) -> ExternalValidation:
    """Fit a recipe on a whole table and evaluate it on the records of another site."""
    fitted = fit_pipeline(table, config, progress=True)
    return validate_predictor(
        external_data,
        build_predictor(fitted, table),
        name=f"the recipe {name}, fitted on {table.file}",
        training_sha256=table.sha256,
    )


def validate_predictor(
    external_data: ExternalTable, predict: Predictor, *, name: str, training_sha256: str
) -> ExternalValidation:
    """Evaluate a model on the records of another site.

    The intervals come from a bootstrap of the site's patients (Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993, chapter 13). They do not include the variation between
    networks of the same recipe.

    Args:
        name: the name under which the model is shown.
        training_sha256: sha256 of the file that the model was trained on.
    """
    table = external_data.table
    labels, groups = table.labels, table.groups
    probabilities = np.asarray(predict(table.values), np.float64)[None]
    weights = np.ones((1, len(labels)))
    share = np.full_like(probabilities, labels.mean())
    return ExternalValidation(
        model=name,
        file=table.file,
        sha256=table.sha256,
        is_training_table=table.sha256 == training_sha256,
        n_read=external_data.n_read,
        n_records=len(table),
        n_positive=int(labels.sum()),
        missing=external_data.missing,
        invalid_cells=external_data.invalid_cells,
        left_out=external_data.left_out,
        estimates={
            metric: estimate_or_none(
                bootstrap_statistic(partial(compute, labels, probabilities), groups, seed=SEED),
                compute(labels, probabilities, weights),
            )
            for metric, compute in EXTERNAL_METRICS.items()
        },
        prevalence_log_loss=float(log_loss(labels, share, weights)[0]),
        calibration=estimate_calibration(labels, groups, to_log_odds(probabilities), seed=SEED),
    )
