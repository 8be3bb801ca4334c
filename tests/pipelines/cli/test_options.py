"""Versions of unusual choices, from the command line to what they answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from app import create_app
from app.settings import Settings
from model.artifacts import Artifact, Store
from model.artifacts.artifact import read_artifact
from model.calibration import CalibrationSelection
from model.evaluation import log_loss
from model.inference import Scorer
from pipelines.data import Table
from pipelines.training.assess import load_calibration
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

ACTIVATION = (
    "import keras\n\n\ndef mish(x):\n    return x * keras.ops.tanh(keras.ops.softplus(x))\n"
)


def train(folder: Path, *choices: str) -> Artifact:
    """The first version of a new store, trained by a process of its own."""
    command = [sys.executable, "-m", "pipelines", "train", "--device", "cpu", "--store"]
    finished = subprocess.run(
        [*command, str(folder), *choices], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert finished.returncode == 0, finished.stderr
    return read_artifact(Store(folder).path("1"))


def loss_of(artifact: Artifact, table: Table) -> float:
    p = Scorer(artifact).probabilities(table.values.astype(np.float32)).astype(np.float64)
    return float(log_loss(table.labels, p[None], np.ones((1, len(table))))[0])


@pytest.mark.parametrize("choice", ["--loss=focal", "--positive-class-weight=4"])
def test_scores_are_made_probabilities(
    tmp_path: Path, table: Table, artifact: Artifact, choice: str
) -> None:
    """The loss minimum is not a probability. A calibration turns the output into probabilities."""
    new = train(tmp_path / "store", choice)
    found = msgspec.convert(new.manifest.metrics["calibration"], CalibrationSelection)
    assert load_calibration(new).method == found.calibration.method != "none"
    assert found.before.slope and found.before.in_the_large and found.after.slope
    biased = abs(found.before.in_the_large.value) > 0.5 or abs(found.before.slope.value - 1) > 0.5
    assert biased and found.after.slope.low < 1 < found.after.slope.high
    assert loss_of(new, table) == pytest.approx(loss_of(artifact, table), abs=0.03)


def test_an_activation_of_ones_own_is_not_needed_to_serve(
    tmp_path: Path,
    table: Table,
    artifact: Artifact,
    record: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing imports the module again: what it computes lies in the graph."""
    module = tmp_path / "own.py"
    module.write_text(ACTIVATION)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    new = train(tmp_path / "store", "--activation", "own:mish")
    module.unlink()
    assert new.manifest.training["activation"] == "own:mish"
    assert loss_of(new, table) == pytest.approx(loss_of(artifact, table), abs=0.03)
    client = create_app(Settings(model_store=tmp_path / "store")).test_client()
    assert client.get("/model").get_json()["capabilities"] == {"explain": False, "interval": False}
    (answer,) = client.post("/predict", json={**record, "ca": None}).get_json()["predictions"]
    assert 0 < answer["probability"] < 1 and answer["missing"] == ["ca"]
