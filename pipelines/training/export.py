"""The graph, exported by a Keras backend that can: the one that trained, or another in its place.

TensorFlow exports through tf2onnx, PyTorch by itself, JAX through jax2onnx. Where the exporter of
the backend that trained is not installed, the graph is built from the saved weights in a process of
its own on another backend: ``python -m pipelines.training.export FOLDER [ACTIVATION ...]``.
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
import msgspec

from model.artifacts import Artifact
from model.calibration import Calibration
from model.errors import ArtifactDamaged, ExportUnavailable
from model.features import Encoding
from model.training import TrainingConfig, activations, load_network

# What each backend needs to be there and to export.
EXPORTERS = {"tensorflow": "tf2onnx", "torch": "onnxscript", "jax": "jax2onnx"}


INPUT_FILES = ("encoding.json", "network.json", "network.weights.h5", "calibration.json")


def export_graph(
    files: Mapping[str, bytes], backend: str, exporters: Mapping[str, str] = EXPORTERS
) -> bytes:
    """The ONNX graph of a fitted preprocessing and network.

    Args:
        files: at least those of :data:`INPUT_FILES`, as an artifact holds them.
        backend: the one that trained.
        exporters: by backend, the package with which it exports.

    Raises:
        ExportUnavailable: neither it nor another backend that is installed can export.
    """
    able = [name for name, exporter in exporters.items() if _is_installed(name, exporter)]
    if not able:
        needed = ", ".join(f"{name} with {exporter}" for name, exporter in exporters.items())
        raise ExportUnavailable(f"no installed Keras backend can export ONNX; one of {needed} can")
    return (
        build_graph_from_files(files) if backend in able else export_in_subprocess(files, able[0])
    )


def export_in_subprocess(files: Mapping[str, bytes], backend: str) -> bytes:
    """Build the graph in a process of its own, on another backend and its CPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in INPUT_FILES:
            (folder / file).write_bytes(files[file])
        done = subprocess.run(
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
        if done.returncode:
            raise ExportUnavailable(f"exporting on {backend} failed:\n{done.stderr}")
        return (folder / "model.onnx").read_bytes()


def build_graph_from_files(files: Mapping[str, bytes]) -> bytes:
    """The graph of saved choices and weights, on the backend of this process."""
    from model.training import build_graph  # imports Keras, whose backend is settled by now

    return build_graph(*rebuild_network(files))


def _is_installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


def rebuild_network(files: Mapping[str, bytes]) -> tuple[Encoding, keras.Model]:
    """The fitted preprocessing and the network that an artifact's files hold.

    Args:
        files: at least ``encoding.json``, ``network.json`` and ``network.weights.h5``; and
            ``calibration.json``, unless they were written before there were calibrations.
    """
    encoding = msgspec.json.decode(files["encoding.json"], type=Encoding)
    config = msgspec.json.decode(files["network.json"], type=TrainingConfig)
    calibration = msgspec.json.decode(files.get("calibration.json", b"{}"), type=Calibration)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.weights.h5"
        weights.write_bytes(files["network.weights.h5"])
        return encoding, load_network(config, len(encoding.features), weights, calibration.layers())


def load_keras_network(artifact: Artifact) -> keras.Model:
    """The Keras network of an artifact: features → probability.

    Raises:
        ArtifactDamaged: its choices or its weights do not make a network.
    """
    try:
        return rebuild_network(artifact.files)[1]
    except (msgspec.DecodeError, ValueError, OSError) as error:
        where = f"version {artifact.folder.name}"
        reason = f"its network cannot be rebuilt ({type(error).__name__})"
        raise ArtifactDamaged(f"{where}: {reason}") from error


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for name in sys.argv[2:]:
        activations.register_custom_activation(name)
    graph = build_graph_from_files({name: (target / name).read_bytes() for name in INPUT_FILES})
    (target / "model.onnx").write_bytes(graph)
