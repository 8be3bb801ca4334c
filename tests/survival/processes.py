"""Memory and connections of the workers of a running server, from Linux's /proc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

_ESTABLISHED = "01"


def memory_mb(server: Any) -> float:
    """Return the total private memory of the workers in units of 2^20 bytes."""
    total = 0
    for worker in server.workers:
        for line in Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean", "Private_Dirty")):
                total += int(line.split()[1])
    return total / 1024


def container_mb(server: Any) -> float:
    """Return the memory of all processes in MB. Shared pages count once."""
    total = 0
    for process in [server.process.pid, *server.workers]:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total * 1024 / 1e6


def clients_of(worker: int) -> set[int]:
    """Return the client ports of the connections that a process holds."""
    inodes = set()
    for handle in Path(f"/proc/{worker}/fd").iterdir():
        try:
            target = str(handle.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    ports = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        cells = line.split()
        if cells[3] == _ESTABLISHED and cells[9] in inodes:
            ports.add(int(cells[2].split(":")[1], 16))
    return ports


def total(server: Any, metric: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    families = text_string_to_metric_families(server.text("/metrics"))
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    )
