"""Networks and ensembles are trained and compared on every Keras backend that is installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import keras
import pytest

from tests.conftest import ROOT

TRAINING = ("tests/model/training/test_fit.py", "tests/model/training/ensemble/test_fit.py")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_same_checks_pass_on(backend: str) -> None:
    if backend == keras.config.backend():
        pytest.skip(f"{backend} is what all checks run on")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-m",
            "slow or not slow",
            *TRAINING,
        ],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
