from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artifacts import Artifact
from model.artifacts.artifact import read_artifact
from model.errors import ExportUnavailable
from model.inference import OnnxSession
from pipelines.data import Table
from pipelines.training import export
from pipelines.training.export import export_in_subprocess
from tests.conftest import ROOT


def test_a_graph_built_in_a_subprocess_is_the_same(artifact: Artifact, table: Table) -> None:
    values = table.values.astype(np.float32)
    np.testing.assert_allclose(
        OnnxSession(export_in_subprocess(artifact.files, "tensorflow")).probabilities(values),
        OnnxSession(artifact.files["model.onnx"]).probabilities(values),
        atol=1e-7,
    )


def test_a_failing_export_is_reported(artifact: Artifact) -> None:
    files = {**artifact.files, "network.json": json.dumps({"hidden": [3]}).encode()}
    with pytest.raises(ExportUnavailable, match="the export on tensorflow failed"):
        export_in_subprocess(files, "tensorflow")


def test_the_error_names_the_packages_that_can_export(artifact: Artifact) -> None:
    exporters = {"tensorflow": "no_such_exporter"}
    with pytest.raises(ExportUnavailable, match="tensorflow with no_such_exporter"):
        export.export_graph(artifact.files, "tensorflow", exporters)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_same_network_trains_on_every_backend(
    backend: str, table: Table, tmp_path: Path
) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    completed = subprocess.run(
        [sys.executable, "-m", "pipelines", "train", "--store", str(tmp_path / "store")],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    manifest = read_artifact(tmp_path / "store/1").manifest
    assert manifest.parity <= 1e-6
    folds: Any = manifest.metrics["folds"]
    assert folds["differences"]["log_loss"]["value"] < 0.02
