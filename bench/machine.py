"""What a run was measured on: the lines above its tables."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.contestants import BenchmarkTarget
from bench.running import Cores


def header(module: str, contestants: Sequence[BenchmarkTarget], cores: Cores) -> list[str]:
    """Command line, machine, Python, cores and versions.

    Args:
        module: what was run, as in ``python -m bench.serving``.
    """
    lines = [
        *describe_run(module),
        f"server on core {cores.server}, load generator on core {cores.load}"
        + ("; ONE CORE FOR BOTH" if cores.server == cores.load else ""),
    ]
    for contestant in contestants:
        found = versions(contestant)
        lines.append(f"{contestant.name}: {contestant.what}" + (f" [{found}]" if found else ""))
    return lines


def describe_run(module: str) -> list[str]:
    """The command line, the time, the machine and Python."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"$ python -m {module} {shlex.join(sys.argv[1:])}".rstrip(),
        f"{datetime.now(UTC):%d %B %Y %H:%M} UTC; load average before: {load}",
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB; "
        f"{platform.system()} {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
    ]


def versions(contestant: BenchmarkTarget) -> str:
    """``package version`` of those that it names, as its environment holds them."""
    path = [str(p) for p in contestant.python.parent.parent.glob("lib/python*/site-packages")]
    found = {
        distribution.name.lower(): distribution.version
        for distribution in importlib.metadata.distributions(path=path)
    }
    return ", ".join(f"{name} {found[name]}" for name in contestant.packages if name in found)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
