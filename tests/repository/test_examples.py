"""The examples for whoever writes a client, run as they are against the real server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from app.api_keys import new_entry
from model.artifacts import Store
from tests.conftest import ROOT

COMMANDS = {"predict.py": sys.executable, "predict.mjs": "node", "predict.sh": "sh"}
NEEDS = {"predict.mjs": "node", "predict.sh": "curl"}
MESSAGE = "row 1, age: must be between 1 and 120 years"


def run(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    without = {k: v for k, v in os.environ.items() if k not in ("SERVICE", "API_KEY")}
    return subprocess.run(
        [COMMANDS[name], ROOT / "examples" / name],
        env={**without, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_example_is_run() -> None:
    assert {path.name for path in (ROOT / "examples").iterdir()} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example(trained: Store, serve: Callable[..., Any], name: str) -> None:
    tool = NEEDS.get(name)
    if tool and shutil.which(tool) is None:
        pytest.skip(f"examples/{name} needs {tool}, which is not on this machine")
    key, entry = new_entry("example", ["predict", "explain"])
    with serve(trained.folder, API_KEYS=entry, LOG_LEVEL="info") as server:
        done = run(name, SERVICE=server.address, API_KEY=key)
        without_key = run(name, SERVICE=server.address)
    nobody = run(name, SERVICE="http://127.0.0.1:9")
    assert done.returncode == 0, done.stdout + done.stderr
    check(name, done)
    assert without_key.returncode == 1
    assert "refused: send an API key" in without_key.stderr
    assert nobody.returncode != 0 and "Traceback" not in nobody.stderr
    assert nobody.stderr
    assert "example-" in server.output, "the log must name requests as the example does"


def check(name: str, done: subprocess.CompletedProcess[str]) -> None:
    """One, many, explained or why not, and what to mend, whatever the language."""
    printed = done.stdout
    assert MESSAGE in printed and "mend: row 1, thal: must be one of 3, 6" in printed
    if name.endswith(".sh"):
        _, one, many, explained = re.split(
            r"^(?:one|many|explained|wrong):\n", printed, flags=re.M
        )[:4]
        (alone,) = json.loads(one)["predictions"]
        first, second = json.loads(many)["predictions"]
        assert first["probability"] == pytest.approx(alone["probability"], abs=1e-6)
        assert second["missing"] == ["ca", "thal"]
        explains = "contributions" in explained
        assert explains or "refused: this version holds nothing to explain" in done.stderr
        assert "refused: row 1: age must be" in done.stderr
        return
    alone = re.search(r"^one: (0\.\d{4}) (no )?disease$", printed, re.M)
    assert alone, printed
    assert f"many: row 0: {alone[1]}" in printed
    assert re.search(r"^many: row 1: 0\.\d{4} (no )?disease without ca, thal$", printed, re.M)
    explained = re.findall(r"^explained: \w+ [+-]\d+\.\d\d$", printed, re.M)
    assert len(explained) == 3 or "not explained: this version holds nothing" in printed
    assert re.search(r"^mend: row 1, thal: .*; fixed\?$", printed, re.M)
