"""Tests of clients that send invalid bodies at full speed next to valid requests."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from model.artifacts import Store
from tests.conftest import ROOT, ReportMeasurement
from tests.survival.clients import Clients
from tests.survival.processes import container_mb

pytestmark = pytest.mark.slow

MARK = "MARKED8151815"
LIMIT = 8 * 1024**2


def small(record: dict[str, Any]) -> list[bytes]:
    """Return invalid bodies that are cheap to reject."""
    return [
        b"",
        b"{",
        f'{{"age": "{MARK}"'.encode(),
        b"\xff\xfe" + MARK.encode(),
        b"[" * 1_000,
        json.dumps(MARK).encode(),
        json.dumps({**record, "age": MARK}).encode(),
        json.dumps({**record, MARK: 8151815}).encode(),
        json.dumps([{**record, "sex": MARK}] * 20).encode(),
    ]


def large(record: dict[str, Any]) -> list[bytes]:
    """Return bodies of 8 MiB, including the most expensive known ones (decision 9)."""
    wrong = json.dumps(dict.fromkeys(record, MARK)).encode()
    return [
        b"[" + b"{}," * (LIMIT // 3 - 2) + b"{}]",
        b"{" + b",".join(b'"k%06x":1' % i for i in range(LIMIT // 12 - 2)) + b"}",
        b"[" + b",".join([wrong] * (LIMIT // (len(wrong) + 1) - 1)) + b"]",
        b"[" * LIMIT,
        b'{"age": "' + MARK.encode() * (LIMIT // len(MARK) - 10) + b'"}',
        b"[" + b"1," * (LIMIT // 2 - 2) + b"1]",
        b'{"age": ' + b"1" * (LIMIT - 100) + b"}",
    ]


class Flood:
    """Clients that send the bodies in turn and count the statuses."""

    def __init__(self, address: str, bodies: list[bytes], n_clients: int) -> None:
        self.answers: Counter[int] = Counter()
        self._host = address.removeprefix("http://")
        self._bodies = bodies
        self._stopped = threading.Event()
        self._clients = [threading.Thread(target=self._send, args=[i]) for i in range(n_clients)]

    @contextmanager
    def sending(self) -> Iterator[None]:
        for client in self._clients:
            client.start()
        try:
            yield
        finally:
            self._stopped.set()
            for client in self._clients:
                client.join(60)

    def _send(self, first: int) -> None:
        connection = http.client.HTTPConnection(self._host, timeout=60)
        bodies = itertools.cycle(self._bodies[first:] + self._bodies[:first])
        while not self._stopped.is_set():
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/predict", next(bodies), headers)
            response = connection.getresponse()
            response.read()
            self.answers[response.status] += 1
        connection.close()


def limit_mb() -> float:
    """Return the memory limit in MB of a container with two workers."""
    text = (ROOT / "deploy/kubernetes/deployment.yaml").read_text()
    service, _ = next(yaml.safe_load_all(text))["spec"]["template"]["spec"]["containers"]
    return float(service["resources"]["limits"]["memory"].removesuffix("M"))


@pytest.mark.parametrize("bodies", [small, large])
def test_healthy_clients_are_answered(
    trained: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
    bodies: Any,
) -> None:
    """Valid requests and health checks succeed, memory stays in its limit, no value is logged.

    The memory of millions of objects is not fully returned to the system. The peak is therefore
    compared to the limit of the deployment, not to the memory before.
    """
    sent = bodies(record)
    assert all(len(body) <= LIMIT for body in sent)
    with serve(trained.folder, WORKERS="2") as server:
        server.wait_until(lambda: len(server.workers) == 2, "both workers")
        workers = server.workers
        peaks = []
        n_refused = 0
        for _ in range(2):
            healthy = Clients(server.address, record, n_clients=2, keep_alive=False)
            checks = Clients(
                server.address, None, path="/healthz", n_clients=1, keep_alive=False, pause_s=0.1
            )
            flood = Flood(server.address, sent, n_clients=3)
            start = time.monotonic()
            with healthy.running() as outcomes, checks.running() as checked, flood.sending():
                used = []
                while time.monotonic() < start + 6:
                    used.append(container_mb(server))
                    time.sleep(0.05)
            took = time.monotonic() - start
            peaks.append(max(used))
            n_refused += sum(flood.answers.values())
            assert set(outcomes.answers) == set(checked.answers) == {200}
            assert not outcomes.failures and not checked.failures
            assert flood.answers and all(400 <= status < 500 for status in flood.answers)
        assert server.workers == workers, "a worker died"
        server.stop()
    lines = [line for line in server.output.splitlines() if "refused" in line]
    report_measurement(
        f"{sum(flood.answers.values()) / took:.0f} refusals/s {dict(flood.answers)}; healthy: "
        f"{outcomes}; health: {checked}; "
        f"peak memory of each half: {[round(m) for m in peaks]} MB; "
        f"{len(lines) / n_refused:.2f} log lines and "
        f"{len(server.output) / n_refused:.0f} characters a refusal"
    )
    assert MARK not in server.output and "8151815" not in server.output
    assert peaks[-1] < limit_mb(), "a container would be killed"
