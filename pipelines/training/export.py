"""Export of a trained network as an ONNX graph, and its rebuilding from saved files.

TensorFlow exports through tf2onnx, PyTorch through onnxscript, JAX through jax2onnx. If the backend
that trained has no exporter installed, a subprocess builds the graph from the saved weights on
another backend: ``python -m pipelines.training.export FOLDER [ACTIVATION ...]``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras

from model.artifacts import Artifact, decode_file
from model.calibration import Calibration
from model.errors import ArtifactDamaged, ExportUnavailable
from model.features import Encoding
from model.training import TrainingConfig, activations, build_graph, load_network

EXPORTERS = {"tensorflow": "tf2onnx", "torch": "onnxscript", "jax": "jax2onnx"}
"""The package with which each Keras backend exports."""

INPUT_FILES = ("encoding.json", "network.json", "network.weights.h5", "calibration.json")
"""The files of an artifact from which the graph is built."""


def export_graph(
    files: Mapping[str, bytes], backend: str, exporters: Mapping[str, str] = EXPORTERS
) -> bytes:
    """Return the ONNX graph of a fitted preprocessing and network.

    Args:
        files: at least those of :data:`INPUT_FILES`, as in an artifact.
        backend: the Keras backend that trained the network.
        exporters: by backend, the package with which it exports.

    Raises:
        ExportUnavailable: no installed backend can export.
    """
    exporting_backends = [
        name for name, exporter in exporters.items() if _is_installed(name, exporter)
    ]
    if not exporting_backends:
        options = ", ".join(f"{name} with {exporter}" for name, exporter in exporters.items())
        raise ExportUnavailable(
            f"no installed Keras backend can export to ONNX; install one of: {options}"
        )
    if backend in exporting_backends:
        return build_graph_from_files(files)
    return export_in_subprocess(files, exporting_backends[0])


def export_in_subprocess(files: Mapping[str, bytes], backend: str) -> bytes:
    """Build the graph in a subprocess, on another backend and on the CPU.

    Raises:
        ExportUnavailable: the subprocess failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in INPUT_FILES:
            (folder / file).write_bytes(files[file])
        completed = subprocess.run(
            [
                sys.executable,
                "-m",
                "pipelines.training.export",
                str(folder),
                *activations.registered_activations(),
            ],
            env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if completed.returncode:
            raise ExportUnavailable(f"the export on {backend} failed:\n{completed.stderr}")
        return (folder / "model.onnx").read_bytes()


def build_graph_from_files(files: Mapping[str, bytes]) -> bytes:
    """Build the graph from a saved configuration and weights, on this process's backend."""
    return build_graph(*rebuild_network(files))


def rebuild_network(files: Mapping[str, bytes]) -> tuple[Encoding, keras.Model]:
    """Rebuild the fitted preprocessing and the Keras network from an artifact's files.

    Args:
        files: at least those of :data:`INPUT_FILES`.
    """
    encoding = decode_file(files, "encoding.json", Encoding)
    config = decode_file(files, "network.json", TrainingConfig)
    calibration = decode_file(files, "calibration.json", Calibration)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.weights.h5"
        weights.write_bytes(files["network.weights.h5"])
        return encoding, load_network(config, len(encoding.features), weights, calibration.layers())


def load_keras_network(artifact: Artifact) -> keras.Model:
    """Return the Keras network of an artifact, which maps features to a probability.

    Raises:
        ArtifactDamaged: the configuration and the weights do not fit together.
    """
    try:
        return rebuild_network(artifact.files)[1]
    except (ValueError, OSError) as error:
        raise ArtifactDamaged(
            f"version {artifact.folder.name}: the network cannot be rebuilt "
            f"({type(error).__name__})"
        ) from error


def _is_installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for name in sys.argv[2:]:
        activations.register_custom_activation(name)
    graph = build_graph_from_files({name: (target / name).read_bytes() for name in INPUT_FILES})
    (target / "model.onnx").write_bytes(graph)
