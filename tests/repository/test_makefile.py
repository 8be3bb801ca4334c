"""Tests of the environments that the Makefile creates, with a local package and no index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

WARNING = "is ignored: it is neither a file nor a directory"
"""pip's warning if a configured source of packages does not exist."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the Makefile, no constraints, and a wheel of the package ``small``."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements-serve.txt", "constraints.txt"):
        (tmp_path / name).touch()
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "small-1.0-py3-none-any.whl", "w") as wheel:
        info = "small-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return tmp_path


def make(project: Path, target: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "MAKE"))}
    sources = f"{(project / 'missing').as_uri()} {(project / 'wheels').as_uri()}"
    environment = inherited | {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": sources,
    }
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", target],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_pip_writes_to_a_log_and_a_failure_names_it(project: Path) -> None:
    """A failed installation, the corrected one, and the checks, in one environment."""
    log = project / ".venv/pip.log"
    (project / "requirements.txt").write_text("small==2.0\n")
    (project / "requirements-dev.txt").write_text("-r requirements.txt\n")
    failed = make(project, ".venv/.installed")
    assert failed.returncode != 0
    assert failed.stdout.startswith("Creating .venv and installing the requirements.")
    assert failed.stdout.count("\n") == 1
    assert "No matching distribution found for small==2.0" in failed.stderr
    assert "pip could not install requirements.txt" in failed.stderr
    assert ".venv/pip.log" in failed.stderr
    assert WARNING in log.read_text()
    assert not (project / ".venv/.installed").exists(), "the next call must try again"

    (project / "requirements.txt").write_text("small==1.0\n")
    corrected = make(project, ".venv/.installed")
    assert (corrected.returncode, corrected.stderr) == (0, "")
    assert corrected.stdout == "Installing requirements.txt into .venv.\n"
    assert "Successfully installed small-1.0" in log.read_text() and WARNING in log.read_text()

    checks = make(project, ".venv/.installed-dev")
    assert (checks.returncode, checks.stderr) == (0, "")
    assert checks.stdout.startswith("Installing the development requirements.")
    assert checks.stdout.count("\n") == 1


def test_the_quick_examples_exist() -> None:
    text = (ROOT / "Makefile").read_text().replace("\\\n", "")
    (paths,) = re.findall(r"^QUICK_EXAMPLES = (.+)$", text, re.M)
    missing = [path for path in paths.split() if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.slow
def test_a_peer_that_does_not_install_is_skipped(project: Path) -> None:
    requirements = project / "bench/peers/granian/requirements.txt"
    requirements.parent.mkdir(parents=True)
    requirements.write_text("small==2.0\n")
    completed = make(project, ".venv-peers/granian/.installed")
    assert completed.returncode == 0
    assert "No matching distribution found for small==2.0" in completed.stderr
    assert ".venv-peers/granian/pip.log" in completed.stderr
    assert not (project / ".venv-peers/granian/.installed").exists()
