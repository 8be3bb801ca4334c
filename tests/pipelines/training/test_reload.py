from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model.artifacts.artifact import read_artifact
from pipelines.data import Table
from tests.conftest import ROOT


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
