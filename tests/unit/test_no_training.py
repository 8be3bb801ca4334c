"""Imports of the unit tests: no training framework, which takes ten seconds to load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.unit.conftest import TRAINERS

PROGRAM = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path("tests/unit").rglob("*.py")):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
print(len(sys.modules), *(name for name in sys.argv[1:] if name in sys.modules))
"""


@pytest.mark.slow
def test_the_service_passes_on_a_trained_version_too() -> None:
    """The tests of the service normally run on a hand-made version."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/unit/app", "--trained", "-q", "-n", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_importing_every_unit_test_loads_no_trainer(request: pytest.FixtureRequest) -> None:
    collected = {item.path for item in request.session.items}
    if collected >= set(Path(__file__).parent.rglob("test_*.py")) and not loaded_trainers():
        return  # this process has imported them all
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *TRAINERS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    n_modules, *trainers = done.stdout.split()
    assert int(n_modules) > 200, "nothing was imported"
    assert not trainers


def loaded_trainers() -> set[str]:
    return set(TRAINERS & sys.modules.keys())
