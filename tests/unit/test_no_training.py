"""The tests in this folder load no framework that trains, which would cost ten seconds each run."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT
from tests.unit.conftest import TRAINERS

PROGRAM = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path("tests/unit").rglob("*.py")):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
print(len(sys.modules), *(name for name in sys.argv[1:] if name in sys.modules))
"""


def test_importing_every_unit_test_loads_no_trainer() -> None:
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
