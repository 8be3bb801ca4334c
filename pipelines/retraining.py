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

from model.artifact import Artifact
from model.calibration_choice import check_asked
from model.calibrators import Asked
from model.config import TrainingConfig
from model.decision_curve import threshold_for
from model.errors import ModelError, NoCurrentVersion
from model.evaluation import Evaluation
from model.manifest import FORMAT_VERSION, DataRecord, Manifest
from model.schema import Schema
from model.store import Store
from pipelines.assembling import assemble
from pipelines.deciding import Decision, decide
from pipelines.evaluating import evaluate_recipe
from pipelines.fitting import FittedPipeline, fit_pipeline
from pipelines.judging import Judgement, judge
from pipelines.provenance import libraries, training_ranges
from pipelines.report.subject import read_subject
from pipelines.report.writing import write_report
from pipelines.tables import Table, read_table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
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
    calibration: Asked = "auto"
    report: bool = True


def retrain(request: Request, store: Store) -> tuple[Artifact, Decision]:
    """Train a new version beside the old ones, and make it current if it is not worse.

    Raises:
        ModelError: the table, the settings or the result will not do; the store stays as it was.
    """
    gives_probabilities = request.config.gives_probabilities
    check_asked(request.calibration, gives_probabilities=gives_probabilities)
    threshold_for(request.cost_ratio)  # refused now rather than after the folds
    table = read_table(request.data, request.schema)
    _describe(table)
    judgement = judge(
        table,
        *_one_round_of_folds(table, request),
        asked=request.calibration,
        cost_ratio=request.cost_ratio,
        gives_probabilities=gives_probabilities,
    )
    fitted = fit_pipeline(table, request.config, progress=True)
    weights = fitted.fit.network.get_weights()  # as training left them
    fitted = fitted.absorb(judgement.calibration)
    files, parity = assemble(table, fitted, judgement.calibration, request.config)
    artifact = store.add(_manifest(table, fitted, request, judgement, parity), files)
    logger.info("saved as version %s", artifact.manifest.version)
    champion = champion_of(store, request)
    decision = decide(table, artifact, judgement.probabilities, champion)
    if decision.promote:
        store.promote(artifact.manifest.version)
    logger.info("%s", decision)
    if request.report:
        subject = read_subject(
            artifact, table, weights, fitted.rows, fitted.predict(table), judgement.probabilities,
            decision=str(decision),
        )  # fmt: skip
        artifact = write_report(subject, store)
    return artifact, decision


def _describe(table: Table) -> None:
    positives = int(table.labels.sum())
    logger.info(
        "read %s: %d records, %d of them positive (%s)",
        table.file, len(table), positives, table.schema.outcome.rule,
    )  # fmt: skip
    for warning in table.warnings:
        logger.warning("%s: %s", table.file, warning)


def _one_round_of_folds(table: Table, request: Request) -> tuple[Evaluation, dict[str, np.ndarray]]:
    logger.info("training on %s; first ten folds, to know what the recipe is worth", request.device)
    evaluation, predictions = evaluate_recipe(table, request.config, name=request.recipe)
    loss = evaluation.figures[evaluation.model]["log_loss"]
    area = evaluation.figures[evaluation.model]["auc"]
    beside = evaluation.differences["log_loss"]
    logger.info(
        "ten folds: log loss %.3f (95 %% interval %.3f to %.3f), AUC %.3f (%.3f to %.3f); "
        "log loss minus that of logistic regression %+.3f (%+.3f to %+.3f)",
        loss.value, loss.low, loss.high, area.value, area.low, area.high,
        beside.value, beside.low, beside.high,
    )  # fmt: skip
    return evaluation, predictions


def _manifest(
    table: Table, fitted: FittedPipeline, request: Request, judgement: Judgement, parity: float
) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        name=table.schema.name,
        version="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_fingerprint=table.schema.fingerprint,
        threshold=judgement.at_threshold.threshold,
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
        metrics=judgement.metrics,
        parity=parity,
        device=request.device,
        libraries=libraries(),
        command=request.command,
    )


def champion_of(store: Store, request: Request) -> Artifact | None:
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
