"""The story of a training, one line a step.

read → check → folds → fit → graph → parity → save → decide → promote → report
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
from pipelines.evaluation import evaluate_recipe
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
    """What to train.

    Attributes:
        recipe: the name under which the results are shown.
        device: as :func:`pipelines.devices.select_device` named it.
        command: the command line, for the record.
        cost_ratio: what a missed patient costs, in false alarms; None where nobody stated it.
        calibration: a method, or ``auto`` for one only where it helps.
        report: whether to write ``report.html``; False for whoever trains many versions in a row
            and reads none of them.
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
    """Train a new version beside the old ones, and make it current if it is not worse.

    Raises:
        ModelError: the table, the settings or the result will not do; the store stays as it was.
    """
    gives_probabilities = request.config.gives_probabilities
    check_requested_method(request.calibration, gives_probabilities=gives_probabilities)
    threshold_for(request.cost_ratio)  # refused now rather than after the folds
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
    weights = fitted.fit.network.get_weights()  # as training left them
    fitted = fitted.with_calibration(assessment.calibration)
    files, parity = build_artifact_files(table, fitted, assessment.calibration, request.config)
    artifact = store.add(_build_manifest(table, fitted, request, assessment, parity), files)
    logger.info("saved as version %s", artifact.manifest.version)
    champion = load_champion(store, request)
    decision = decide(table, artifact, assessment.probabilities, champion)
    if decision.promote:
        store.promote(artifact.manifest.version)
    logger.info("%s", decision)
    if request.report:
        context = build_report_context(
            artifact, table, weights, fitted.rows, fitted.predict(table), assessment.probabilities,
            decision=str(decision),
        )  # fmt: skip
        artifact = write_report(context, store)
    return artifact, decision


def _log_table(table: Table) -> None:
    positives = int(table.labels.sum())
    logger.info(
        "read %s: %d records, %d of them positive (%s)",
        table.file, len(table), positives, table.schema.outcome.rule,
    )  # fmt: skip
    for warning in table.warnings:
        logger.warning("%s: %s", table.file, warning)


def _cross_validate(
    table: Table, request: RetrainRequest
) -> tuple[ModelComparison, dict[str, np.ndarray]]:
    logger.info("training on %s; first ten folds, to know what the recipe is worth", request.device)
    evaluation, predictions = evaluate_recipe(table, request.config, name=request.recipe)
    loss = evaluation.estimates[evaluation.model]["log_loss"]
    area = evaluation.estimates[evaluation.model]["auc"]
    beside = evaluation.differences["log_loss"]
    logger.info(
        "ten folds: log loss %.3f (95 %% interval %.3f to %.3f), AUC %.3f (%.3f to %.3f); "
        "log loss minus that of logistic regression %+.3f (%+.3f to %+.3f)",
        loss.value, loss.low, loss.high, area.value, area.low, area.high,
        beside.value, beside.low, beside.high,
    )  # fmt: skip
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
        cost_ratio=msgspec.UNSET if request.cost_ratio is None else request.cost_ratio,
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
    """The current version, or None where there is none that could be compared with."""
    try:
        champion = store.read(store.current().version)
    except NoCurrentVersion:
        return None
    except ModelError as error:
        logger.warning("the current version cannot be compared with: %s", error)
        return None
    if champion.manifest.cost_ratio is not msgspec.UNSET and request.cost_ratio is None:
        logger.warning(
            "version %s has a threshold from a cost ratio of %g; this one was given none",
            champion.manifest.version, champion.manifest.cost_ratio,
        )  # fmt: skip
    return champion
