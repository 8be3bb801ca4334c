from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

from model.artifacts import Store
from tests.unit.app.web.test_metrics import Samples, samples, value


def test_a_reload_of_gunicorn_loses_no_count(
    trained: Store, serve: Any, record: dict[str, Any], tmp_path: Path
) -> None:
    """On SIGHUP gunicorn starts new workers while the old ones still run."""

    def records() -> float:
        return value(samples(server.text("/metrics")), "tabular_records_total", version="1")

    with serve(trained.folder, WORKERS="2", RUN_FOLDER=str(tmp_path)) as server:
        for n_sent in range(1, 61):
            if n_sent == 20:
                before = set(server.workers)
                server.process.send_signal(signal.SIGHUP)
            assert server.post("/predict", record)[0] == 200
            assert records() == n_sent
        server.wait_until(lambda: not before & set(server.workers), "new workers")
        assert records() == 60
        assert len(list(tmp_path.glob("histogram_*.db"))) <= 5


def test_killed_workers_lose_no_count(
    trained: Store, serve: Any, record: dict[str, Any], tmp_path: Path
) -> None:
    """The counters survive killed workers, and the number of files stays bounded."""

    def read() -> Samples:
        with urllib.request.urlopen(f"{server.address}/metrics") as response:
            return samples(response.read().decode())

    with serve(trained.folder, WORKERS="2", RUN_FOLDER=str(tmp_path)) as server:
        n_sent = 0
        n_files = set()
        for _ in range(4):
            for _ in range(20):
                assert server.post("/predict", record)[0] == 200
                n_sent += 1
            server.wait_until(
                lambda: value(read(), "tabular_model_workers", version="1") == 2, "both workers"
            )
            metrics = read()
            assert value(metrics, "tabular_records_total", version="1") == n_sent
            requests = {"route": "/predict", "status": "200", "version": "1"}
            assert value(metrics, "tabular_requests_total", **requests) == n_sent
            n_files.add(len(list(tmp_path.glob("*.db"))))
            before = set(server.workers)
            for worker in before:
                os.kill(worker, signal.SIGKILL)
            server.wait_until(
                lambda old=before: (
                    len(set(server.workers) - old) == 2 and server.get("/readyz")[0] == 200
                ),
                "new workers",
            )
        assert max(n_files) <= 2 * 5 + 5, "a new worker must reuse the files of its slot"
