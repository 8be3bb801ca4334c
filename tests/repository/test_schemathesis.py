"""schemathesis against the real server: valid and invalid requests by the OpenAPI document.

The document of the service describes our own routes, and :mod:`tests.protocol_descriptions` those
of other protocols. The latter are tested without ``positive_data_acceptance``: JSON Schema cannot
express that a tensor has as many elements as the product of its shape.
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

from app import Settings, create_app
from app.api_keys import new_entry
from model.artifacts import Store
from tests.protocol_descriptions import protocol_document

pytestmark = pytest.mark.slow

# Low limits, so that some requests exceed them; few log lines.
SETTINGS = {"MAX_RECORDS": "20", "MAX_EXPLAINED": "10", "LOG_LEVEL": "error"}
# Without the scope manage, because unloading the model stops the service.
SCOPES = ("predict", "explain", "monitor")

# schemathesis cannot serialise JSON lines; the document describes them as text.
HOOKS = """
import schemathesis
schemathesis.serializer.alias("application/jsonlines", "text/plain")
"""

RequestCounts = Counter[tuple[str, str, int]]


def schemathesis(
    address: str, document: dict[str, Any], folder: Path, *arguments: str
) -> RequestCounts:
    """Run schemathesis on every path with a success, and check that it reports no failure.

    Args:
        address: the address of the server.
        document: the OpenAPI document.
        folder: a folder for files.
        arguments: further arguments of ``st run``.

    Returns:
        the number of requests by operation, mode (positive or negative) and status.
    """
    report = folder / "report.ndjson"
    (folder / "hooks.py").write_text(HOOKS)
    (folder / "openapi.json").write_text(json.dumps(document))
    excluded = [
        word for path in paths_without_success(document) for word in ("--exclude-path", path)
    ]
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            "run",
            "openapi.json",
            "--url",
            address,
            *excluded,
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
    return count_requests(report)


def count_requests(report: Path) -> RequestCounts:
    counts: RequestCounts = Counter()
    for line in report.read_text().splitlines():
        finished = json.loads(line).get("ScenarioFinished")
        if finished and finished["phase"] != "stateful":  # sequences over several operations
            recorder = finished["recorder"]
            for case, interaction in recorder["interactions"].items():
                mode = recorder["cases"][case]["value"]["meta"]["generation"]["mode"]
                status = (interaction["response"] or {}).get("status_code", 0)
                counts[recorder["label"], mode, status] += 1
    return counts


def operations(document: dict[str, Any]) -> set[str]:
    """Return the operations that schemathesis must test, by its names."""
    excluded = paths_without_success(document)
    return {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if path not in excluded
    }


def paths_without_success(document: dict[str, Any]) -> list[str]:
    """Return the paths without a successful response, such as /explain without explanations."""
    return [
        path
        for path, item in document["paths"].items()
        if not any(status[0] == "2" for o in item.values() for status in o["responses"])
    ]


def n_requests(counts: RequestCounts, **selected: Any) -> int:
    names = ("operation", "mode", "status")
    return sum(
        n
        for key, n in counts.items()
        if all(key[names.index(name)] == value for name, value in selected.items())
    )


def test_our_own_routes(trained: Store, serve: Callable[..., Any], tmp_path: Path) -> None:
    with serve(trained.folder, **SETTINGS) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        document = server.get("/openapi.json")[1]
        counts = schemathesis(server.address, document, tmp_path, "--max-examples", "300")
        server.stop()
    assert {operation for operation, *_ in counts} == operations(document)
    for operation in operations(document):
        assert n_requests(counts, operation=operation) >= 200, operation
    assert n_requests(counts, operation="POST /predict", mode="positive", status=200) >= 300
    assert n_requests(counts, operation="POST /predict", mode="negative", status=422) >= 300
    assert "Traceback" not in server.output


def test_our_own_routes_with_api_keys(
    trained: Store, serve: Callable[..., Any], tmp_path: Path
) -> None:
    """The check ignored_auth also sends requests without a key and with a wrong one."""
    key, entry = new_entry("schemathesis", SCOPES)
    with serve(trained.folder, **SETTINGS, API_KEYS=entry) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        document = server.get("/openapi.json")[1]
        (tmp_path / "schemathesis.toml").write_text(f'[auth.openapi.bearer]\nbearer = "{key}"\n')
        counts = schemathesis(server.address, document, tmp_path, "--max-examples", "50")
    assert {operation for operation, *_ in counts} == operations(document)
    for operation in ("POST /predict", "GET /model", "GET /metrics"):
        assert n_requests(counts, operation=operation, status=200) >= 30
        assert n_requests(counts, operation=operation, status=401) >= 1


def test_the_routes_of_other_protocols(
    trained: Store, serve: Callable[..., Any], tmp_path: Path
) -> None:
    settings = Settings.from_environment({**SETTINGS, "MODEL_STORE": str(trained.folder)})
    document = protocol_document(create_app(settings))
    arguments = ("--max-examples", "200", "--exclude-checks", "positive_data_acceptance")
    with serve(trained.folder, **SETTINGS) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        counts = schemathesis(server.address, document, tmp_path, *arguments)
    assert {operation for operation, *_ in counts} == operations(document)
    assert len(operations(document)) >= 30
