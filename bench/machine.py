"""The header of a report: command line, machine, versions."""

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


def header(module: str, targets: Sequence[BenchmarkTarget], cores: Cores) -> list[str]:
    """Return the lines of the header: command line, machine, Python, cores, targets.

    Args:
        module: the module that was run, such as ``bench.serving``.
        targets: the measured servers.
        cores: the cores of the server and of the load generator.
    """
    lines = [
        *describe_run(module),
        f"server on core {cores.server}, load generator on core {cores.load}"
        + ("; WARNING: the same core for both" if cores.server == cores.load else ""),
    ]
    for target in targets:
        packages = f" [{listed}]" if (listed := versions(target)) else ""
        lines.append(f"{target.name}: {target.description}{packages}")
    return lines


def describe_run(module: str) -> list[str]:
    """Return lines with the command line, the time, the machine and Python."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"$ python -m {module} {shlex.join(sys.argv[1:])}".rstrip(),
        f"{datetime.now(UTC):%d %B %Y %H:%M} UTC; load average before: {load}",
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB; "
        f"{platform.system()} {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}",
    ]


def versions(target: BenchmarkTarget) -> str:
    """Return the versions of a target's packages in its environment, as ``flask 3.1.3, …``."""
    path = [str(p) for p in target.python.parent.parent.glob("lib/python*/site-packages")]
    installed = {
        distribution.name.lower(): distribution.version
        for distribution in importlib.metadata.distributions(path=path)
    }
    return ", ".join(f"{name} {installed[name]}" for name in target.packages if name in installed)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
