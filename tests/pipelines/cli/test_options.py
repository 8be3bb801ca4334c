"""Versions with unusual training options, from the command line to their predictions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from model.artifacts import Artifact, Store
from model.artifacts.artifact import read_artifact
from model.calibration import CalibrationSelection
from model.evaluation import log_loss
from model.inference import Scorer
from pipelines.data import Table
from pipelines.training.assess import load_calibration
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def train(folder: Path, *options: str) -> Artifact:
    """Train the first version of a new store in a subprocess."""
    command = [sys.executable, "-m", "pipelines", "train", "--device", "cpu", "--store"]
    completed = subprocess.run(
        [*command, str(folder), *options], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert completed.returncode == 0, completed.stderr
    return read_artifact(Store(folder).path("1"))


def loss_of(artifact: Artifact, table: Table) -> float:
    p = Scorer(artifact).probabilities(table.values.copy()).astype(np.float64)
    return float(log_loss(table.labels, p[None], np.ones((1, len(table))))[0])


@pytest.mark.parametrize("option", ["--loss=focal", "--positive-class-weight=4"])
def test_a_calibration_turns_scores_into_probabilities(
    tmp_path: Path, table: Table, artifact: Artifact, option: str
) -> None:
    """Minimising this loss does not yield probabilities; the served ones are calibrated."""
    new = train(tmp_path / "store", option)
    selection = msgspec.convert(new.manifest.metrics["calibration"], CalibrationSelection)
    assert load_calibration(new).method == selection.calibration.method != "none"
    assert selection.before.slope and selection.before.in_the_large and selection.after.slope
    biased = (
        abs(selection.before.in_the_large.value) > 0.5
        or abs(selection.before.slope.value - 1) > 0.5
    )
    assert biased and selection.after.slope.low < 1 < selection.after.slope.high
    assert loss_of(new, table) == pytest.approx(loss_of(artifact, table), abs=0.03)
