"""The files of an artifact, built from a fitted pipeline and checked against each other."""

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
from model.training import TrainingConfig, build_graph, choose_background, read_layers
from model.training.ensemble import encode_bootstrap_file, fit_bootstrap_ensemble, to_bootstrap_file
from pipelines.data import Table, read_encoding
from pipelines.fitted_pipeline import FittedPipeline

PARITY_TOLERANCE = 1e-6
"""Largest allowed difference between a probability of the graph and of the fitted pipeline."""

LIBRARIES = (
    "keras",
    "tensorflow",
    "jax",
    "torch",
    "numpy",
    "pandas",
    "scikit-learn",
    "onnx",
    "onnxruntime",
)
"""Libraries whose versions a manifest records."""

logger = logging.getLogger(__name__)


def build_artifact_files(
    table: Table, fitted: FittedPipeline, calibration: Calibration, config: TrainingConfig
) -> tuple[dict[str, bytes], float]:
    """Build the files of the artifact and check the graph against the fitted pipeline.

    Args:
        fitted: the pipeline, with the calibration in its network.

    Returns:
        The content of each file by name, and the largest difference that :func:`check_parity`
        found.

    Raises:
        ParityError: the graph, the layers or the imputation of missing values do not reproduce the
            probabilities of the fitted pipeline.
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
    layers = read_layers(fitted.fit.network)
    background = choose_background(
        table.schema,
        encoding,
        table.values[fitted.rows],
        allow_training_rows=table.sha256 in table.schema.published,
    )
    files["explanation.json"] = encode(ExplanationData(background=background, layers=layers))
    graph = build_graph(encoding, layers)
    parity = check_parity(table, fitted, graph)
    logger.info("The ONNX graph reproduces the Keras pipeline; largest difference %.1e.", parity)
    golden = golden_values(table.schema)
    probabilities = OnnxSession(graph).probabilities(golden)
    files["model.onnx"] = graph
    files["golden.json"] = encode(GoldenRows(golden.tolist(), probabilities.tolist()))
    try:
        files["inputs.json"] = build_missing_value_file(
            table.schema, files, encoding.encode(table.values[fitted.rows]), golden, probabilities
        )
        load_coalition_network(files)
        files["members.json"] = _build_members_file(
            table, fitted, calibration, config, files, probabilities
        )
    except ValueError as error:
        raise ParityError(
            f"the files for explanations and missing values do not match the graph: {error}"
        ) from error
    return files, parity


def check_parity(table: Table, fitted: FittedPipeline, graph: bytes) -> float:
    """Compare the graph with the fitted pipeline, over the whole table.

    Returns:
        The largest absolute difference of a probability.

    Raises:
        ParityError: it is above :data:`PARITY_TOLERANCE`.
    """
    probabilities = OnnxSession(graph).probabilities(table.values)
    parity = float(np.abs(fitted.predict(table) - probabilities).max())
    if not parity <= PARITY_TOLERANCE:
        raise ParityError(
            f"the probabilities of the ONNX graph differ from those of the Keras pipeline by "
            f"{parity:.1e}; the limit is {PARITY_TOLERANCE:.0e}"
        )
    return parity


def training_ranges(table: Table, rows: np.ndarray) -> dict[str, TrainingRange]:
    """Return the range of values, the levels and the missing values of each column in the rows."""
    ranges = {}
    for index, column in enumerate(table.schema.columns):
        values = table.values[rows, index]
        known = values[~np.isnan(values)]
        missing = len(values) - len(known)
        if column.levels:
            codes = tuple(int(code) for code in np.unique(known))
            ranges[column.name] = TrainingRange(codes=codes, missing=missing)
        elif len(known):
            low, high = float(known.min()), float(known.max())
            ranges[column.name] = TrainingRange(minimum=low, maximum=high, missing=missing)
        else:
            ranges[column.name] = TrainingRange(missing=missing)
    return ranges


def library_versions() -> dict[str, str]:
    """Return the version of Python, the Keras backend, and the versions of installed libraries."""
    versions = {"python": platform.python_version(), "keras backend": keras.config.backend()}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _build_members_file(
    table: Table,
    fitted: FittedPipeline,
    calibration: Calibration,
    config: TrainingConfig,
    files: dict[str, bytes],
    probabilities: np.ndarray,
) -> bytes:
    """Train the bootstrap networks for intervals, on the rows that the network was fitted on."""
    features = fitted.preprocessing.transform(table.frame.iloc[fitted.rows])
    labels, groups = table.labels[fitted.rows], table.groups[fitted.rows]
    ensemble = fit_bootstrap_ensemble(
        features, labels, groups, config, n_epochs=fitted.fit.n_epochs
    )
    logger.info("Trained %d bootstrap networks for intervals.", len(ensemble))
    return encode_bootstrap_file(
        table.schema, files, to_bootstrap_file(ensemble, calibration), probabilities
    )
