"""Tests of clients that open a new connection for each request."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pytest

from model.artifacts import Store
from tests.conftest import ReportMeasurement
from tests.survival.processes import memory_mb

pytestmark = pytest.mark.slow


def test_closed_connections_release_memory(
    trained: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
) -> None:
    """gunicorn keeps the state of each for three seconds, which is thousands of connections."""
    body = json.dumps(record)
    with serve(trained.folder) as server:
        connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=20)
        memory = []
        for _ in range(4):
            for _ in range(3_000):
                connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
                assert connection.getresponse().read()
                connection.close()
            memory.append(memory_mb(server))
    report_measurement(f"memory after each 3,000 connections: {[round(m, 1) for m in memory]} MB")
    assert memory[-1] - memory[0] < 8
