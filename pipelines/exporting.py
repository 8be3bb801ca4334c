"""The graph, exported by a Keras backend that can: the one that trained, or another in its place.

TensorFlow exports through tf2onnx, PyTorch by itself, JAX through jax2onnx. Where the exporter of
the backend that trained is not installed, the graph is built from the saved weights in a process of
its own on another backend: ``python -m pipelines.exporting FOLDER [ACTIVATION ...]``.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from model import activations
from model.errors import ExportUnavailable

# What each backend needs to be there and to export.
EXPORTERS = {"tensorflow": "tf2onnx", "torch": "onnxscript", "jax": "jax2onnx"}
INPUTS = ("encoding.json", "network.json", "network.weights.h5", "calibration.json")


def export_graph(
    files: Mapping[str, bytes], backend: str, exporters: Mapping[str, str] = EXPORTERS
) -> bytes:
    """The ONNX graph of a fitted preprocessing and network.

    Args:
        files: at least those of :data:`INPUTS`, as an artifact holds them.
        backend: the one that trained.
        exporters: by backend, the package with which it exports.

    Raises:
        ExportUnavailable: neither it nor another backend that is installed can export.
    """
    able = [name for name, exporter in exporters.items() if _installed(name, exporter)]
    if not able:
        needed = ", ".join(f"{name} with {exporter}" for name, exporter in exporters.items())
        raise ExportUnavailable(f"no installed Keras backend can export ONNX; one of {needed} can")
    return build_from(files) if backend in able else export_elsewhere(files, able[0])


def export_elsewhere(files: Mapping[str, bytes], backend: str) -> bytes:
    """Build the graph in a process of its own, on another backend and its CPU."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in INPUTS:
            (folder / file).write_bytes(files[file])
        done = subprocess.run(
            [sys.executable, "-m", "pipelines.exporting", str(folder), *activations.handed_in()],
            env={**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ExportUnavailable(f"exporting on {backend} failed:\n{done.stderr}")
        return (folder / "model.onnx").read_bytes()


def build_from(files: Mapping[str, bytes]) -> bytes:
    """The graph of saved choices and weights, on the backend of this process."""
    from model.graph import build_graph  # imports Keras, whose backend is settled by now
    from pipelines.reloading import rebuild

    return build_graph(*rebuild(files))


def _installed(*names: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in names)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for name in sys.argv[2:]:
        activations.hand_in(name)
    graph = build_from({name: (target / name).read_bytes() for name in INPUTS})
    (target / "model.onnx").write_bytes(graph)
