"""The story of a training, one line a step.

read → check → folds → fit → graph → parity → save → decide → promote
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import keras
import msgspec
import numpy as np

from model.activations import is_own
from model.artifact import Artifact, Golden
from model.background import choose_background
from model.bootstrap_members import fit_members, members_file, pack
from model.calibration_choice import check_asked
from model.calibrators import Asked, Calibration
from model.config import TrainingConfig
from model.decision_curve import threshold_for
from model.errors import ModelError, NoCurrentVersion, ParityError
from model.evaluation import Evaluation
from model.folding import Basis, fold
from model.golden import golden_values
from model.incomplete import complete
from model.manifest import FORMAT_VERSION, DataRecord, Manifest
from model.network import read_layers
from model.schema import Schema
from model.scoring import Graph
from model.store import Store
from pipelines.deciding import Decision, decide
from pipelines.evaluating import evaluate_recipe
from pipelines.exporting import export_graph
from pipelines.fitting import FittedPipeline, fit_pipeline
from pipelines.judging import Judgement, judge
from pipelines.preprocessing import read_encoding
from pipelines.provenance import libraries, training_ranges
from pipelines.tables import Table, read_table

PARITY_TOLERANCE = 1e-6

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
    """

    data: Path
    schema: Schema
    config: TrainingConfig
    recipe: str
    device: str
    command: str
    cost_ratio: float | None = None
    calibration: Asked = "auto"


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
    fitted = fit_pipeline(table, request.config, progress=True).absorb(judgement.calibration)
    files, parity = _files(table, fitted, judgement.calibration, request)
    artifact = store.add(_manifest(table, fitted, request, judgement, parity), files)
    logger.info("saved as version %s", artifact.manifest.version)
    champion = _champion(store, request)
    decision = decide(table, artifact, judgement.probabilities, champion)
    if decision.promote:
        store.promote(artifact.manifest.version)
    logger.info("%s", decision)
    return artifact, decision


def check_parity(table: Table, fitted: FittedPipeline, graph: bytes) -> float:
    """Compare the pipeline with the Keras network against the graph, over the whole table.

    Returns:
        The greatest absolute difference of a probability.

    Raises:
        ParityError: it is above 1e-6.
    """
    served = Graph(graph).probabilities(table.values.astype(np.float32))
    parity = float(np.abs(fitted.predict(table) - served).max())
    if not parity <= PARITY_TOLERANCE:
        raise ParityError(
            f"the graph differs from the pipeline and the Keras network by {parity:.1e}; "
            f"allowed is {PARITY_TOLERANCE:.0e}"
        )
    return parity


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


def _files(
    table: Table, fitted: FittedPipeline, calibration: Calibration, request: Request
) -> tuple[dict[str, bytes], float]:
    """The files of the artifact, and the parity of its graph with what was fitted."""
    encode = msgspec.json.encode  # NaN becomes null
    encoding = read_encoding(table.schema, fitted.preprocessing)
    files = {
        "schema.json": table.schema.to_json(),
        "encoding.json": encode(encoding),
        "network.json": encode(request.config),
        "network.weights.h5": fitted.fit.weights(),
        "calibration.json": encode(calibration),
        "history.json": encode(fitted.fit.history),
    }
    if not is_own(request.config.activation):  # only Keras knows how to work that out
        background = choose_background(
            table.schema,
            encoding,
            table.values[fitted.rows],
            rows_may_leave=table.sha256 in table.schema.published,
        )
        basis = Basis(background=background, layers=read_layers(fitted.fit.network))
        files["explanation.json"] = encode(basis)
    graph = export_graph(files, keras.config.backend())
    parity = check_parity(table, fitted, graph)
    logger.info("parity of the graph with pipeline and Keras network: %.1e", parity)
    golden = golden_values(table.schema)
    answers = Graph(graph).probabilities(golden)
    files["model.onnx"] = graph
    files["golden.json"] = encode(Golden(golden.tolist(), answers.tolist()))
    try:
        files["inputs.json"] = complete(
            table.schema, files, encoding.encode(table.values[fitted.rows]), golden, answers
        )
        if "explanation.json" in files:
            fold(files)
            files["members.json"] = _members(table, fitted, calibration, files, answers)
    except ValueError as error:
        raise ParityError(
            f"answers could not be explained, or missing values filled: {error}"
        ) from error
    return files, parity


def _members(
    table: Table,
    fitted: FittedPipeline,
    calibration: Calibration,
    files: dict[str, bytes],
    answers: np.ndarray,
) -> bytes:
    """Train the networks from which intervals come, on the rows that the answering one saw."""
    features = fitted.preprocessing.transform(table.frame.iloc[fitted.rows])
    labels, groups = table.labels[fitted.rows], table.groups[fitted.rows]
    config = msgspec.json.decode(files["network.json"], type=TrainingConfig)
    ensemble = fit_members(features, labels, groups, config, n_epochs=fitted.fit.n_epochs)
    logger.info("%d networks on bootstrap samples, for intervals", len(ensemble))
    return members_file(table.schema, files, pack(ensemble, calibration), answers)


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


def _champion(store: Store, request: Request) -> Artifact | None:
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
