"""The files of an artifact, from what was fitted; every part held to the others before it is saved."""

from __future__ import annotations

import importlib.metadata
import logging
import platform

import keras
import msgspec
import numpy as np

from model.artifacts import GoldenRows, TrainingRange, golden_values
from model.calibration import Calibration
from model.errors import ParityError
from model.inference import (
    ExplanationData,
    OnnxSession,
    build_missing_value_file,
    load_coalition_network,
)
from model.training import TrainingConfig, choose_background, is_import_path, read_layers
from model.training.ensemble import encode_bootstrap_file, fit_bootstrap_ensemble, to_bootstrap_file
from pipelines.data import Table, read_encoding
from pipelines.fitted_pipeline import FittedPipeline
from pipelines.training.export import export_graph

PARITY_TOLERANCE = 1e-6


logger = logging.getLogger(__name__)


def build_artifact_files(
    table: Table, fitted: FittedPipeline, calibration: Calibration, config: TrainingConfig
) -> tuple[dict[str, bytes], float]:
    """The files of the artifact, and the parity of its graph with what was fitted.

    Args:
        fitted: after it absorbed the calibration.

    Raises:
        ParityError: the graph, the layers or what fills missing values would answer otherwise than
            what was fitted.
    """
    encode = msgspec.json.encode  # NaN becomes null
    encoding = read_encoding(table.schema, fitted.preprocessing)
    files = {
        "schema.json": table.schema.to_json(),
        "encoding.json": encode(encoding),
        "network.json": encode(config),
        "network.weights.h5": fitted.fit.weights(),
        "calibration.json": encode(calibration),
        "history.json": encode(fitted.fit.history),
    }
    if not is_import_path(config.activation):  # only Keras knows how to work that out
        background = choose_background(
            table.schema,
            encoding,
            table.values[fitted.rows],
            allow_training_rows=table.sha256 in table.schema.published,
        )
        basis = ExplanationData(background=background, layers=read_layers(fitted.fit.network))
        files["explanation.json"] = encode(basis)
    graph = export_graph(files, keras.config.backend())
    parity = check_parity(table, fitted, graph)
    logger.info("parity of the graph with pipeline and Keras network: %.1e", parity)
    golden = golden_values(table.schema)
    answers = OnnxSession(graph).probabilities(golden)
    files["model.onnx"] = graph
    files["golden.json"] = encode(GoldenRows(golden.tolist(), answers.tolist()))
    try:
        files["inputs.json"] = build_missing_value_file(
            table.schema, files, encoding.encode(table.values[fitted.rows]), golden, answers
        )
        if "explanation.json" in files:
            load_coalition_network(files)
            files["members.json"] = _build_members_file(
                table, fitted, calibration, config, files, answers
            )
    except ValueError as error:
        raise ParityError(
            f"answers could not be explained, or missing values filled: {error}"
        ) from error
    return files, parity


def _build_members_file(
    table: Table,
    fitted: FittedPipeline,
    calibration: Calibration,
    config: TrainingConfig,
    files: dict[str, bytes],
    answers: np.ndarray,
) -> bytes:
    """Train the networks from which intervals come, on the rows that the answering one saw."""
    features = fitted.preprocessing.transform(table.frame.iloc[fitted.rows])
    labels, groups = table.labels[fitted.rows], table.groups[fitted.rows]
    ensemble = fit_bootstrap_ensemble(
        features, labels, groups, config, n_epochs=fitted.fit.n_epochs
    )
    logger.info("%d networks on bootstrap samples, for intervals", len(ensemble))
    return encode_bootstrap_file(
        table.schema, files, to_bootstrap_file(ensemble, calibration), answers
    )


def check_parity(table: Table, fitted: FittedPipeline, graph: bytes) -> float:
    """Compare the pipeline with the Keras network against the graph, over the whole table.

    Returns:
        The greatest absolute difference of a probability.

    Raises:
        ParityError: it is above 1e-6.
    """
    served = OnnxSession(graph).probabilities(table.values.astype(np.float32))
    parity = float(np.abs(fitted.predict(table) - served).max())
    if not parity <= PARITY_TOLERANCE:
        raise ParityError(
            f"the graph differs from the pipeline and the Keras network by {parity:.1e}; "
            f"allowed is {PARITY_TOLERANCE:.0e}"
        )
    return parity


LIBRARIES = (
    "keras", "tensorflow", "jax", "torch", "numpy", "pandas", "scikit-learn", "onnx", "onnxruntime"
)  # fmt: skip


def training_ranges(table: Table, rows: np.ndarray) -> dict[str, TrainingRange]:
    """By column, what training saw in these rows."""
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


def library_versions() -> dict[str, str]:
    """The versions of what trained, as far as it is installed."""
    found = {"python": platform.python_version(), "keras backend": keras.config.backend()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
