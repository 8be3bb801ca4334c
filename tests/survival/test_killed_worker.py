"""Tests of workers that are killed repeatedly under load."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from model.artifacts import Store
from tests.conftest import ReportMeasurement
from tests.survival.clients import Clients
from tests.survival.processes import clients_of, total

pytestmark = pytest.mark.slow

N_KILLS = 5


@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept", "anew"])
def test_only_clients_of_killed_worker_fail(
    trained: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
    keep_alive: bool,
) -> None:
    """Other clients are not affected, each retry succeeds, and no count is lost."""
    with serve(trained.folder, WORKERS="2") as server:
        clients = Clients(server.address, record, keep_alive=keep_alive, renewed_after=50)
        held: set[int] = set()
        n_others = 0
        with clients.running() as outcomes:
            for _ in range(N_KILLS):
                clients.wait_for(300)
                before = server.workers
                victim = max(before, key=lambda worker: len(clients_of(worker)))
                # Stop it from accepting connections while its connections are counted.
                os.kill(victim, signal.SIGSTOP)
                time.sleep(0.05)
                victim_ports = clients_of(victim)
                os.kill(victim, signal.SIGKILL)
                held |= victim_ports
                n_others += sum(len(clients_of(worker)) for worker in before if worker != victim)
                server.wait_until(
                    lambda victim=victim: len(now := server.workers) == 2 and victim not in now,
                    "a new worker",
                )
                clients.wait_for(300)
        counted = total(server, "tabular_requests_total", route="/predict", status="200")
        server.wait_until(
            lambda: total(server, "tabular_model_workers", version="1") == 2, "both to serve"
        )
    report_measurement(
        f"{N_KILLS} kills, connections held: {len(held)} by the killed, {n_others} "
        f"by the others; {outcomes}; failed again: {outcomes.failed_retries}; "
        f"counted by the service: {counted:.0f}"
    )
    failed = set().union(*outcomes.ports.values())
    assert outcomes.n_failures <= len(held) and failed <= held, "only clients of the killed workers"
    assert outcomes.n_failures > 0, "no request was in progress, so nothing was tested"
    assert outcomes.failed_retries == 0 and set(outcomes.answers) == {200}
    assert outcomes.answers[200] <= counted <= outcomes.answers[200] + outcomes.n_failures
