"""The story of a training, one line a step.

read → check → folds → fit → graph → parity → save → decide → promote
"""

from __future__ import annotations

import importlib.metadata
import logging
import platform
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
from model.config import TrainingConfig
from model.errors import ModelError, NoCurrentVersion, ParityError
from model.evaluation import Evaluation
from model.folding import Basis, fold
from model.golden import golden_values
from model.incomplete import complete
from model.manifest import FORMAT_VERSION, DataRecord, Manifest, TrainingRange
from model.network import read_layers
from model.schema import Schema
from model.scoring import Graph
from model.store import Store
from pipelines.deciding import Decision, decide
from pipelines.evaluating import evaluate_recipe
from pipelines.exporting import export_graph
from pipelines.fitting import FittedPipeline, fit_pipeline
from pipelines.preprocessing import read_encoding
from pipelines.tables import Table, read_table

PARITY_TOLERANCE = 1e-6
THRESHOLD = 0.5
LIBRARIES = (
    "keras", "tensorflow", "jax", "torch", "numpy", "pandas", "scikit-learn", "onnx", "onnxruntime"
)  # fmt: skip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What to train.

    Attributes:
        recipe: the name under which the results are shown.
        device: as :func:`pipelines.devices.select_device` named it.
        command: the command line, for the record.
    """

    data: Path
    schema: Schema
    config: TrainingConfig
    recipe: str
    device: str
    command: str


def retrain(request: Request, store: Store) -> tuple[Artifact, Decision]:
    """Train a new version beside the old ones, and make it current if it is not worse.

    Raises:
        ModelError: the table, the settings or the result will not do; the store stays as it was.
    """
    table = read_table(request.data, request.schema)
    _describe(table)
    evaluation, predictions = _one_round_of_folds(table, request)
    fitted = fit_pipeline(table, request.config, progress=True)
    files, parity = _files(table, fitted, request)
    artifact = store.add(_manifest(table, fitted, request, evaluation, parity), files)
    logger.info("saved as version %s", artifact.manifest.version)
    decision = decide(table, artifact, predictions, _champion(store))
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


def _one_round_of_folds(table: Table, request: Request) -> tuple[Evaluation, np.ndarray]:
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
    table: Table, fitted: FittedPipeline, request: Request
) -> tuple[dict[str, bytes], float]:
    """The files of the artifact, and the parity of its graph with what was fitted."""
    encode = msgspec.json.encode  # NaN becomes null
    encoding = read_encoding(table.schema, fitted.preprocessing)
    files = {
        "schema.json": table.schema.to_json(),
        "encoding.json": encode(encoding),
        "network.json": encode(request.config),
        "network.weights.h5": fitted.fit.weights(),
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
            files["members.json"] = _members(table, fitted, request.config, files, answers)
    except ValueError as error:
        raise ParityError(
            f"answers could not be explained, or missing values filled: {error}"
        ) from error
    return files, parity


def _members(
    table: Table,
    fitted: FittedPipeline,
    config: TrainingConfig,
    files: dict[str, bytes],
    answers: np.ndarray,
) -> bytes:
    """Train the networks from which intervals come, on the rows that the answering one saw."""
    features = fitted.preprocessing.transform(table.frame.iloc[fitted.rows])
    labels, groups = table.labels[fitted.rows], table.groups[fitted.rows]
    ensemble = fit_members(features, labels, groups, config, n_epochs=fitted.fit.n_epochs)
    logger.info("%d networks on bootstrap samples, for intervals", len(ensemble))
    return members_file(table.schema, files, pack(ensemble), answers)


def _manifest(
    table: Table, fitted: FittedPipeline, request: Request, evaluation: Evaluation, parity: float
) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        name=table.schema.name,
        version="",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        schema_fingerprint=table.schema.fingerprint,
        threshold=THRESHOLD,
        data=DataRecord(
            file=table.file,
            sha256=table.sha256,
            rows=len(table),
            positives=int(table.labels.sum()),
            warnings=table.warnings,
        ),
        recipe=request.recipe,
        training=msgspec.to_builtins(request.config),
        ranges=_ranges(table, fitted.rows),
        metrics={"folds": msgspec.to_builtins(evaluation)},
        parity=parity,
        device=request.device,
        libraries=_libraries(),
        command=request.command,
    )


def _ranges(table: Table, rows: np.ndarray) -> dict[str, TrainingRange]:
    ranges = {}
    for index, column in enumerate(table.schema.columns):
        values = table.values[rows, index]
        known = values[~np.isnan(values)]
        missing = len(values) - len(known)
        if column.levels:
            seen = tuple(int(code) for code in np.unique(known))
            ranges[column.name] = TrainingRange(codes=seen, missing=missing)
        elif len(known):
            low, high = float(known.min()), float(known.max())
            ranges[column.name] = TrainingRange(minimum=low, maximum=high, missing=missing)
        else:
            ranges[column.name] = TrainingRange(missing=missing)
    return ranges


def _libraries() -> dict[str, str]:
    found = {"python": platform.python_version(), "keras backend": keras.config.backend()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _champion(store: Store) -> Artifact | None:
    """The current version, or None where there is none that could be compared with."""
    try:
        return store.read(store.current().version)
    except NoCurrentVersion:
        return None
    except ModelError as error:
        logger.warning("the current version cannot be compared with: %s", error)
        return None
