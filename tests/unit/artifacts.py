"""Hand-made artifacts: every file of a model version, without training.

The encoding is computed with NumPy and the weights are given. The project's own code builds the
graph from them, adds the other files, verifies the artifact and writes it, so a service treats it
like a trained version.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from model.artifacts import (
    FORMAT_VERSION,
    DataRecord,
    GoldenRows,
    Manifest,
    TrainingRange,
    golden_values,
)
from model.calibration import Calibration
from model.features import Encoding
from model.inference import (
    INTERVAL_LEVEL,
    SPREAD_FACTOR,
    Background,
    BootstrapFile,
    DenseLayer,
    EnsembleScorer,
    ExplanationData,
    MemberLayer,
    OnnxSession,
    build_missing_value_file,
    load_coalition_network,
    load_missing_value_scorer,
)
from model.schema import Schema
from model.training import TrainingConfig, build_graph


def fit_encoding(schema: Schema, values: np.ndarray) -> Encoding:
    """Return the encoding of float (n, n_columns): numbers standardised, levels one-hot."""
    columns: list[int] = []
    means: list[float] = []
    scales: list[float] = []
    codes: list[float] = []
    fills: list[float] = []
    for column in schema.feature_columns:
        index = schema.column_names.index(column.name)
        known = values[~np.isnan(values[:, index]), index].astype(np.float64)
        if column.kind == "category":
            columns += [index] * len(column.codes)
            codes += column.codes
            fills += [float((known == code).mean()) for code in column.codes]
        else:
            columns.append(index)
            means.append(float(known.mean()))
            scales.append(float(known.std()))
            fills.append(0.0)
    return Encoding(
        n_columns=len(schema.columns),
        features=schema.feature_names,
        columns=tuple(columns),
        means=tuple(means),
        scales=tuple(scales),
        codes=tuple(codes),
        fills=tuple(fills),
    )


def shifted_members(layers: Sequence[DenseLayer], shifts: Sequence[float]) -> BootstrapFile:
    """Return members that equal the network, each with its log-odds shifted by a number."""
    n = len(shifts)
    packed = []
    for index, layer in enumerate(layers):
        kernel = np.repeat(np.array(layer.kernel, "<f4")[None], n, axis=0)
        bias = np.repeat(np.array(layer.bias, "<f4")[None], n, axis=0)
        is_last = index == len(layers) - 1
        if is_last:
            bias += np.array(shifts, "<f4")[:, None]
        packed.append(
            MemberLayer(
                shape=(n, kernel.shape[1], kernel.shape[2]),
                kernel=kernel.tobytes(),
                bias=bias.astype("<f4").tobytes(),
                activation="linear" if is_last else layer.activation,
            )
        )
    return BootstrapFile(level=INTERVAL_LEVEL, spread=SPREAD_FACTOR, layers=packed)


def artifact_files(
    schema: Schema,
    rows: np.ndarray,
    layers: Sequence[DenseLayer],
    *,
    background: np.ndarray,
    shifts: Sequence[float],
    encoding: Encoding | None = None,
) -> dict[str, bytes]:
    """Return the files of an untrained version.

    Args:
        rows: float (n, n_columns) that encoding and moments are fitted on; missing as NaN.
        layers: the network, ending in one sigmoid unit.
        background: background rows of the explanations.
        shifts: of :func:`shifted_members`.
        encoding: that of the rows unless given.
    """
    encode = msgspec.json.encode
    encoding = encoding or fit_encoding(schema, rows)
    explanation_data = ExplanationData(
        background=Background(origin="training rows", seed=0, values=background.tolist()),
        layers=list(layers),
    )
    graph = build_graph(encoding, layers)
    golden = golden_values(schema)
    answers = OnnxSession(graph).probabilities(golden)
    files = {
        "schema.json": schema.to_json(),
        "encoding.json": encode(encoding),
        "network.json": encode(TrainingConfig()),
        "network.weights.h5": b"no weights for Keras: nothing that serves reads them",
        "calibration.json": encode(Calibration()),
        "history.json": encode({}),
        "explanation.json": encode(explanation_data),
        "model.onnx": graph,
        "golden.json": encode(GoldenRows(golden.tolist(), answers.tolist())),
    }
    files["inputs.json"] = build_missing_value_file(
        schema, files, encoding.encode(rows), golden, answers
    )
    load_coalition_network(files)  # raises where the layers do not give the graph's answers
    members = shifted_members(layers, shifts)
    ensemble_scorer = EnsembleScorer(files, members, load_missing_value_scorer(schema, files))
    lows, highs = ensemble_scorer.bounds(golden, answers).tolist()
    files["members.json"] = encode(msgspec.structs.replace(members, lows=lows, highs=highs))
    return files


def manifest_of(schema: Schema, rows: np.ndarray, **changes: Any) -> Manifest:
    """Return the manifest of such a version. The store adds the number and the checksums."""
    ranges = {}
    for index, column in enumerate(schema.columns):
        known = rows[~np.isnan(rows[:, index]), index]
        missing = len(rows) - len(known)
        if column.levels:
            codes = tuple(int(code) for code in np.unique(known))
            ranges[column.name] = TrainingRange(codes=codes, missing=missing)
        else:
            low, high = float(known.min()), float(known.max())
            ranges[column.name] = TrainingRange(minimum=low, maximum=high, missing=missing)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=schema.name,
        version="",
        created="2026-01-02T03:04:05+00:00",
        schema_fingerprint=schema.fingerprint,
        threshold=0.5,
        data=DataRecord(file="by-hand.csv", sha256="0" * 64, rows=len(rows), positives=1),
        recipe="default",
        training=msgspec.to_builtins(TrainingConfig()),
        ranges=ranges,
        metrics={},
        parity=0.0,
        device="cpu",
        libraries={"python": "3"},
        command="tests",
    )
    return msgspec.structs.replace(manifest, **changes)
