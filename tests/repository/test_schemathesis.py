"""schemathesis against the real server: whatever the description allows and forbids is tried.

On our own routes with all checks. On those of other protocols without ``positive_data_acceptance``:
that the number of data must be the product of a tensor's shape cannot be said in JSON Schema.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.api_keys import new_entry
from model.artifacts import Store

pytestmark = pytest.mark.slow

OWN = ("Predictions", "Health", "The model", "Problems", "Documentation")
# Few records, so that one more than is allowed is among what is tried; and no more in the log
# than a pipe takes, which nobody reads before the server is stopped.
SETTINGS = {"MAX_RECORDS": "20", "MAX_EXPLAINED": "10", "LOG_LEVEL": "error"}
# Loading and unloading are left out: whoever may do it can stop everything, as is their purpose.
SCOPES = ("predict", "explain", "monitor")

# It knows no JSON lines; they are sent as the text that they are described to be.
HOOKS = """
import schemathesis
schemathesis.serializer.alias("application/jsonlines", "text/plain")
"""

Tried = Counter[tuple[str, str, int]]


def schemathesis(address: str, folder: Path, *arguments: str) -> Tried:
    """Run it; it must find nothing.

    Returns:
        how many requests there were by operation, mode (positive or negative) and status.
    """
    report = folder / "report.ndjson"
    (folder / "hooks.py").write_text(HOOKS)
    command = [str(Path(sys.executable).with_name("st")), "run", f"{address}/openapi.json"]
    done = subprocess.run(
        [
            *command,
            "--checks",
            "all",
            "--continue-on-failure",
            "--no-color",
            *arguments,
            "--report",
            "ndjson",
            "--report-ndjson-path",
            str(report),
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    return tried(report)


def tried(report: Path) -> Tried:
    counts: Tried = Counter()
    for line in report.read_text().splitlines():
        finished = json.loads(line).get("ScenarioFinished")
        if finished and finished["phase"] != "stateful":  # sequences over several operations
            recorder = finished["recorder"]
            for case, interaction in recorder["interactions"].items():
                mode = recorder["cases"][case]["value"]["meta"]["generation"]["mode"]
                status = (interaction["response"] or {}).get("status_code", 0)
                counts[recorder["label"], mode, status] += 1
    return counts


def operations(document: dict[str, Any], *, own: bool) -> set[str]:
    """What is to be tried, as schemathesis names it."""
    return {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if (operation["tags"][0] in OWN) is own
    }


def left_out(document: dict[str, Any]) -> list[str]:
    """Paths that can give nothing but a refusal: by a version before explanations, for one."""
    return [
        path
        for path, item in document["paths"].items()
        if not any(status[0] == "2" for o in item.values() for status in o["responses"])
    ]


def chosen(document: dict[str, Any], *, own: bool) -> tuple[list[str], set[str]]:
    """The arguments for a part of the routes, and the operations that must then be tried."""
    without = left_out(document)
    arguments = [word for tag in OWN for word in ("--include-tag" if own else "--exclude-tag", tag)]
    arguments += [word for path in without for word in ("--exclude-path", path)]
    expected = {o for o in operations(document, own=own) if o.partition(" ")[2] not in without}
    return arguments, expected


def seen(counts: Tried, **wanted: Any) -> int:
    names = ("operation", "mode", "status")
    return sum(
        n
        for key, n in counts.items()
        if all(key[names.index(name)] == value for name, value in wanted.items())
    )


def test_our_own_routes(trained: Store, serve: Callable[..., Any], tmp_path: Path) -> None:
    with serve(trained.folder, **SETTINGS) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        document = server.get("/openapi.json")[1]
        arguments, expected = chosen(document, own=True)
        counts = schemathesis(server.address, tmp_path, *arguments, "--max-examples", "300")
        server.stop()
    assert {operation for operation, *_ in counts} == expected
    for operation in expected:
        assert seen(counts, operation=operation) >= 200, operation
    assert seen(counts, operation="POST /predict", mode="positive", status=200) >= 300
    assert seen(counts, operation="POST /predict", mode="negative", status=422) >= 300
    assert "Traceback" not in server.output


def test_our_own_routes_where_keys_are_asked_for(
    trained: Store, serve: Callable[..., Any], tmp_path: Path
) -> None:
    """Also without the key, and with another: that is what the check ignored_auth sends."""
    key, entry = new_entry("schemathesis", SCOPES)
    with serve(trained.folder, **SETTINGS, API_KEYS=entry) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        arguments, expected = chosen(server.get("/openapi.json")[1], own=True)
        arguments += ["--max-examples", "50"]
        (tmp_path / "schemathesis.toml").write_text(f'[auth.openapi.bearer]\nbearer = "{key}"\n')
        counts = schemathesis(server.address, tmp_path, *arguments)
    assert {operation for operation, *_ in counts} == expected
    for operation in ("POST /predict", "GET /model", "GET /metrics"):
        assert seen(counts, operation=operation, status=200) >= 30
        assert seen(counts, operation=operation, status=401) >= 1


def test_the_routes_of_other_protocols(
    trained: Store, serve: Callable[..., Any], tmp_path: Path
) -> None:
    with serve(trained.folder, **SETTINGS) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        arguments, expected = chosen(server.get("/openapi.json")[1], own=False)
        if not expected:
            pytest.skip("the service has no routes of other protocols")
        arguments += ["--max-examples", "200", "--exclude-checks", "positive_data_acceptance"]
        counts = schemathesis(server.address, tmp_path, *arguments)
    assert {operation for operation, *_ in counts} == expected
