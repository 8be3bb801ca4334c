"""Tests of jumps of the system clock under load. The monotonic clock does not jump."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from model.artifacts import Store
from tests.conftest import ReportMeasurement
from tests.survival.clients import Clients
from tests.survival.processes import total

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("cc") is None,
        reason="needs Linux and a C compiler, cc, which is not on this machine",
    ),
]

DAY_S = 86_400


class Clock:
    """An adjustable system clock for programs that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        library, file = folder / "clock.so", folder / "clock"
        source = Path(__file__).parent / "clock.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
        file.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(file)}
        with file.open("r+b") as handle:
            self._offset = mmap.mmap(handle.fileno(), 8)

    def set(self, seconds: int) -> None:
        """Set the offset from the system clock in seconds."""
        self._offset[:] = struct.pack("q", seconds)


def test_clock_jumps_do_not_affect_clients(
    trained: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
    tmp_path: Path,
) -> None:
    """No request fails, no worker is restarted, and no latency is wrong by a day."""
    clock = Clock(tmp_path)
    with serve(trained.folder, WORKERS="2", **clock.environment) as server:
        server.wait_until(lambda: len(server.workers) == 2, "both workers")
        workers = server.workers
        clients = Clients(server.address, record, n_clients=4)
        dates = []
        with clients.running() as outcomes:
            for days in (0, 1, -1, 3_653, 0):
                clock.set(days * DAY_S)
                # Longer than the interval of one second between the heartbeats of a worker.
                for _ in range(3):
                    clients.wait_for(500)
                dates.append(date(server))
        assert server.workers == workers, "a worker was replaced"
        n_answers = total(server, "tabular_request_seconds_count", route="/predict")
        n_fast = total(server, "tabular_request_seconds_bucket", route="/predict", le="1.0")
        seconds = total(server, "tabular_request_seconds_sum", route="/predict")
        status = server.stop()
    report_measurement(
        f"{dates}; {outcomes}; mean of the metrics: {seconds / n_answers * 1e3:.2f} ms"
    )
    assert len({when[-4:] for when in dates}) == 2, "the service's clock has jumped"
    assert set(outcomes.answers) == {200} and not outcomes.failures
    assert n_answers == n_fast == outcomes.answers[200], "all within a second"
    assert 0 < seconds < sum(outcomes.latencies_s)
    assert status == 0 and "TIMEOUT" not in server.output


def date(server: Any) -> str:
    """Return day, month and year of the clock of the service."""
    with urllib.request.urlopen(server.address + "/healthz", timeout=10) as response:
        return " ".join(response.headers["Date"].split()[1:4])
