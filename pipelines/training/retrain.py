"""Training of a new version, from the table to the report.

The steps: read → check → cross-validate → assess → fit → export → parity → save → decide → promote
→ report.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from model.artifacts import FORMAT_VERSION, Artifact, DataRecord, Manifest, Store
from model.calibration import RequestedMethod, check_requested_method
from model.errors import ModelError, NoCurrentVersion
from model.evaluation import ModelComparison, threshold_for
from model.schema import Schema
from model.training import TrainingConfig
from pipelines.data import Table, read_table
from pipelines.evaluation import N_SPLITS, evaluate_recipe
from pipelines.fitted_pipeline import FittedPipeline, fit_pipeline
from pipelines.report import build_report_context, write_report
from pipelines.training.artifact_files import (
    build_artifact_files,
    library_versions,
    training_ranges,
)
from pipelines.training.assess import Assessment, assess_predictions
from pipelines.training.promotion import Decision, decide

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetrainRequest:
    """The inputs and options of one training.

    Attributes:
        recipe: the name under which the results are shown.
        device: the name that :func:`pipelines.devices.select_device` returned.
        command: the command line, which the manifest records.
        cost_ratio: cost of a missed patient relative to a false alarm; None if it is not given.
        calibration: a method, or ``auto`` to apply one only if it helps.
        report: write ``report.html``; False saves time when many versions are trained in a row.
    """

    data: Path
    schema: Schema
    config: TrainingConfig
    recipe: str
    device: str
    command: str
    cost_ratio: float | None = None
    calibration: RequestedMethod = "auto"
    report: bool = True


def retrain_model(request: RetrainRequest, store: Store) -> tuple[Artifact, Decision]:
    """Train a new version, save it, and promote it unless it is worse than the current one.

    Returns:
        The new version, and the decision about its promotion.

    Raises:
        ModelError: the table or the settings are invalid, or the exported graph differs from the
            fitted pipeline. The store is unchanged.
    """
    gives_probabilities = request.config.gives_probabilities
    check_requested_method(request.calibration, gives_probabilities=gives_probabilities)
    threshold_for(request.cost_ratio)  # fails here rather than after the cross-validation
    table = read_table(request.data, request.schema)
    _log_table(table)
    assessment = assess_predictions(
        table,
        *_cross_validate(table, request),
        requested=request.calibration,
        cost_ratio=request.cost_ratio,
        gives_probabilities=gives_probabilities,
    )
    fitted = fit_pipeline(table, request.config, progress=True)
    weights = fitted.fit.network.get_weights()  # before the calibration changes them
    fitted = fitted.with_calibration(assessment.calibration)
    files, parity = build_artifact_files(table, fitted, assessment.calibration, request.config)
    artifact = store.add(_build_manifest(table, fitted, request, assessment, parity), files)
    logger.info("Saved as version %s.", artifact.manifest.version)
    champion = load_champion(store, request)
    decision = decide(table, artifact, assessment.probabilities, champion)
    if decision.promote:
        store.promote(artifact.manifest.version)
    logger.info("Version %s %s.", artifact.manifest.version, decision)
    if request.report:
        context = build_report_context(
            artifact,
            table,
            weights,
            fitted.rows,
            fitted.predict(table),
            assessment.probabilities,
            decision=str(decision),
        )
        artifact = write_report(context, store)
    return artifact, decision


def _log_table(table: Table) -> None:
    logger.info(
        "Read %s: %d records, %d positive (%s).",
        table.file,
        len(table),
        int(table.labels.sum()),
        table.schema.outcome.rule,
    )
    for warning in table.warnings:
        logger.warning("%s: %s", table.file, warning)


def _cross_validate(
    table: Table, request: RetrainRequest
) -> tuple[ModelComparison, dict[str, np.ndarray]]:
    logger.info("Training on %s. Running %d-fold cross-validation …", request.device, N_SPLITS)
    evaluation, predictions = evaluate_recipe(table, request.config, name=request.recipe)
    loss = evaluation.estimates[evaluation.model]["log_loss"]
    area = evaluation.estimates[evaluation.model]["auc"]
    difference = evaluation.differences["log_loss"]
    logger.info(
        "Cross-validation: log loss %.3f (95 %% interval %.3f to %.3f), AUC %s, "
        "difference in log loss to logistic regression %s.",
        loss.value,
        loss.low,
        loss.high,
        area.format(digits=3),
        difference.format("+", digits=3),
    )
    return evaluation, predictions


def _build_manifest(
    table: Table,
    fitted: FittedPipeline,
    request: RetrainRequest,
    assessment: Assessment,
    parity: float,
) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        name=table.schema.name,
        version="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_fingerprint=table.schema.fingerprint,
        threshold=assessment.at_threshold.threshold,
        cost_ratio=request.cost_ratio,
        data=DataRecord(
            file=table.file,
            sha256=table.sha256,
            rows=len(table),
            positives=int(table.labels.sum()),
            warnings=table.warnings,
        ),
        recipe=request.recipe,
        training=msgspec.to_builtins(request.config),
        ranges=training_ranges(table, fitted.rows),
        metrics=assessment.metrics,
        parity=parity,
        device=request.device,
        libraries=library_versions(),
        command=request.command,
    )


def load_champion(store: Store, request: RetrainRequest) -> Artifact | None:
    """Return the current version, or None if there is none or it cannot be read."""
    try:
        champion = store.read(store.current().version)
    except NoCurrentVersion:
        return None
    except ModelError as error:
        logger.warning("The new version is not compared with the current one: %s.", error)
        return None
    if champion.manifest.cost_ratio is not None and request.cost_ratio is None:
        logger.warning(
            "The threshold of version %s comes from a cost ratio of %g, but no cost ratio was "
            "given now, so the new version uses 0.5. Set it with --cost-ratio.",
            champion.manifest.version,
            champion.manifest.cost_ratio,
        )
    return champion
