"""Tests of a full disk for the store, the shared metrics and the log."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.artifacts import Store
from tests.conftest import ReportMeasurement
from tests.survival.clients import Clients
from tests.survival.processes import total

pytestmark = pytest.mark.slow


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Use all of the free space. Can be called repeatedly."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for n_bytes in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(n_bytes))
        with pytest.raises(OSError, match="No space"):
            (self.folder / "more").write_bytes(b"x" * 8192)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield SmallDisk(folder)
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(
    trained: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
    disk: SmallDisk,
) -> None:
    """No request fails, everything is counted, and a dead worker is replaced."""
    store = Store(shutil.copytree(trained.folder, disk.folder / "store"))
    run = disk.folder / "run"
    run.mkdir()
    with serve(store.folder, WORKERS="2", RUN_FOLDER=str(run)) as server:
        server.wait_until(lambda: len(server.workers) == 2, "both workers")
        clients = Clients(server.address, record, n_clients=4)
        bad = Clients(server.address, {**record, "age": 700}, n_clients=1, pause_s=0.01)
        with clients.running() as outcomes, bad.running() as refused:
            disk.fill()
            clients.wait_for(1_000)
            bad.wait_for(20)
            n_before = outcomes.n_failures + refused.n_failures
            for _ in range(2):
                killed = server.workers[0]
                os.kill(killed, signal.SIGKILL)
                # Use the space that the killed worker released before it is replaced.
                disk.fill()
                server.wait_until(
                    lambda killed=killed: len(now := server.workers) == 2 and killed not in now,
                    "a new worker",
                )
                clients.wait_for(1_000)
            server.wait_until(
                lambda: total(server, "tabular_model_workers", version="1") == 2, "both to serve"
            )
        counted = total(server, "tabular_requests_total", route="/predict", status="200")
        status = server.stop()
    report_measurement(f"{outcomes}; refused: {refused.answers}; stopped with {status}")
    assert n_before == 0, "with no worker killed nothing failed"
    assert set(outcomes.answers) == {200} and set(refused.answers) == {422}
    assert outcomes.failed_retries == refused.failed_retries == 0
    assert outcomes.answers[200] <= counted <= outcomes.answers[200] + outcomes.n_failures
    assert status == 0


def test_a_log_that_cannot_be_written(
    trained: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
) -> None:
    """Rejected requests are logged, so each of them writes to the full log."""
    with serve(trained.folder, log=Path("/dev/full"), WORKERS="2") as server:
        clients = Clients(server.address, record, n_clients=2)
        bad = Clients(server.address, {**record, "age": 700}, n_clients=2)
        with clients.running() as outcomes, bad.running() as refused:
            clients.wait_for(1_000)
            bad.wait_for(500)
        status = server.stop()
    report_measurement(f"{outcomes}; refused: {refused.answers}; stopped with {status}")
    assert set(outcomes.answers) == {200} and not outcomes.failures
    assert set(refused.answers) == {422} and not refused.failures
    assert status == 0
