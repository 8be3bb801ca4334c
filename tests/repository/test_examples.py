"""The example clients, run unchanged against the real server."""

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
    inherited = {k: v for k, v in os.environ.items() if k not in ("SERVICE", "API_KEY")}
    return subprocess.run(
        [COMMANDS[name], ROOT / "examples" / name],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_example_is_run() -> None:
    files = {path.name for path in (ROOT / "examples").iterdir() if path.is_file()}
    assert files == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example(trained: Store, serve: Callable[..., Any], name: str) -> None:
    tool = NEEDS.get(name)
    if tool and shutil.which(tool) is None:
        pytest.skip(f"examples/{name} needs {tool}, which is not installed")
    key, entry = new_entry("example", ["predict", "explain"])
    with serve(trained.folder, API_KEYS=entry, LOG_LEVEL="info") as server:
        completed = run(name, SERVICE=server.address, API_KEY=key)
        without_key = run(name, SERVICE=server.address)
    without_server = run(name, SERVICE="http://127.0.0.1:9")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    check_output(name, completed)
    assert without_key.returncode == 1
    assert re.search(r"^error: .*API key", without_key.stderr, re.M)
    assert without_server.returncode != 0 and "Traceback" not in without_server.stderr
    assert without_server.stderr
    assert "example-" in server.output, "the log must contain the request ids of the example"


def check_output(name: str, completed: subprocess.CompletedProcess[str]) -> None:
    """Check the predictions, the explanation or its error, and the problems of invalid records."""
    printed = completed.stdout
    assert MESSAGE in printed and "invalid: row 1, thal: must be one of 3, 6" in printed
    if name.endswith(".sh"):
        _, single, many, explained = re.split(
            r"^(?:one|many|explained|invalid):\n", printed, flags=re.M
        )[:4]
        (alone,) = json.loads(single)["predictions"]
        first, second = json.loads(many)["predictions"]
        assert first["probability"] == pytest.approx(alone["probability"], abs=1e-6)
        assert second["missing"] == ["ca", "thal"]
        has_explanation = "contributions" in explained
        assert has_explanation or "error: this version holds nothing to explain" in completed.stderr
        assert "error: row 1: age must be" in completed.stderr
        return
    alone = re.search(r"^one: (0\.\d{4}) (no )?disease$", printed, re.M)
    assert alone, printed
    assert f"many: row 0: {alone[1]}" in printed
    assert re.search(r"^many: row 1: 0\.\d{4} (no )?disease, missing ca, thal$", printed, re.M)
    explained = re.findall(r"^explained: \w+ [+-]\d+\.\d\d$", printed, re.M)
    assert len(explained) == 3 or "not explained: this version holds nothing" in printed
    assert re.search(r"^invalid: row 1, thal: .*; fixed\?$", printed, re.M)
