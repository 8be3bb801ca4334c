"""Tests of a thousand slow clients next to normal ones, with and without the proxy."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from model.artifacts import Store
from tests.conftest import ReportMeasurement
from tests.survival.clients import Clients, SlowClients

pytestmark = pytest.mark.slow

N_SLOW = 1_000
SECONDS = 15
"""Longer than every timeout after which a client is disconnected."""


@pytest.fixture
def many_files() -> Iterator[None]:
    """Raise the soft limit of open files for both ends of a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 4 * N_SLOW:
        pytest.skip(f"needs {4 * N_SLOW} open files, and no more than {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * N_SLOW), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_through_the_proxy(
    trained: Store,
    serve: Any,
    proxy: Callable[..., Any],
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
    many_files: None,
) -> None:
    """Normal clients are not affected."""
    with (
        serve(trained.folder, WORKERS="2") as server,
        proxy(port_of(server)) as running_proxy,
    ):
        address = f"http://127.0.0.1:{running_proxy.port}"
        slow = SlowClients(address, N_SLOW)
        with slow.dripping():
            clients = Clients(address, record, n_clients=4, keep_alive=False)
            with clients.running() as outcomes:
                time.sleep(SECONDS)
            report_measurement(f"{slow}; healthy: {outcomes}")
    assert slow.n_connected >= N_SLOW
    assert set(outcomes.answers) == {200} and not outcomes.failures


def test_without_proxy(
    trained: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
    many_files: None,
) -> None:
    """A slow client occupies a connection, not a worker."""
    with serve(trained.folder, WORKERS="2") as server:
        server.wait_until(lambda: len(server.workers) == 2, "both workers")
        workers = server.workers
        slow = SlowClients(server.address, N_SLOW)
        with slow.dripping():
            clients = Clients(server.address, record, n_clients=4, keep_alive=False, timeout_s=5)
            with clients.running() as outcomes:
                time.sleep(SECONDS)
            report_measurement(f"{slow}; healthy: {outcomes}")
        # The slow clients have disconnected, so the service must recover.
        server.wait_until(lambda: is_answered(server, record), "an answer")
        clients = Clients(server.address, record, n_clients=4, keep_alive=False)
        with clients.running() as after:
            clients.wait_for(200)
        report_measurement(f"after the slow clients: {after}")
        assert server.workers == workers, "a worker died"
    assert set(outcomes.answers) == {200} and not outcomes.failures
    assert set(after.answers) == {200} and not after.failures


def port_of(server: Any) -> int:
    return int(server.address.rsplit(":", 1)[1])


def is_answered(server: Any, record: dict[str, Any]) -> bool:
    try:
        return server.post("/predict", record)[0] == 200
    except OSError:
        return False
