"""``make bench``: the service beside the floor, each in its own process, in alternating rounds.

Server and load generator get a core each. Ratios of one run are what counts: absolute figures
drift with the machine.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app.record_schema import example_record
from bench.load import Load, measure
from model.schema import load_schema

CONTESTANTS = {
    "floor": ["--worker-class", "gthread", "--workers", "1", "--threads", "1", "bench.floor:app"],
    "service": ["-c", "app/gunicorn.conf.py", "app.wsgi:app"],
}


@contextmanager
def _server(arguments: list[str], core: int) -> Iterator[tuple[int, int]]:
    """A contestant with one worker on a core of its own: its port, and the worker's process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "WORKERS": "1", "OPENBLAS_NUM_THREADS": "1"}
    bind = [] if "-c" in arguments else ["--bind", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        ["taskset", "-c", str(core), sys.executable, "-m", "gunicorn", *bind, *arguments],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(port)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield port, int(children[0])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait(port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", b"{}", {"Content-Type": "application/json"}
    )
    for _ in range(200):
        try:
            urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            if error.code != 503:
                return
        except OSError:
            pass
        else:
            return
        time.sleep(0.05)
    raise click.ClickException("a contestant did not start")


def _memory_mb(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def _report(title: str, rounds: dict[str, list[Load]]) -> None:
    click.echo(f"\n{title}")
    click.echo(f"{'':10}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'of the floor':>22}")
    floor = [load.per_second for load in rounds["floor"]]
    for name, loads in rounds.items():
        ratios = [load.per_second / beside for load, beside in zip(loads, floor, strict=True)]
        median = {
            field: statistics.median(getattr(load, field) for load in loads)
            for field in ("per_second", "p50_ms", "p99_ms")
        }
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        click.echo(
            f"{name:10}{median['per_second']:>9.0f}{median['p50_ms']:>9.2f}{median['p99_ms']:>9.2f}"
            f"{spread:>22}"
        )


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=3.0, show_default=True, help="Of one round.")
def main(rounds: int, seconds: float) -> None:
    """Single records and batches of 10,000, in alternating rounds."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    record = example_record(load_schema(Path("schemas/cleveland.toml")))
    bodies = {
        "one record": json.dumps(record).encode(),
        "10,000 records": json.dumps([record] * 10_000).encode(),
    }
    with (
        _server(CONTESTANTS["floor"], cores[0]) as (floor, floor_worker),
        _server(CONTESTANTS["service"], cores[0]) as (service, service_worker),
    ):
        for title, body in bodies.items():
            measured: dict[str, list[Load]] = {"floor": [], "service": []}
            connections = 8 if title == "one record" else 1
            for _ in range(rounds):
                for name, port in (("floor", floor), ("service", service)):
                    load = measure(port, body, seconds=seconds, connections=connections)
                    measured[name].append(load)
            _report(title, measured)
        click.echo(
            f"\nmemory of a worker: floor {_memory_mb(floor_worker):.0f} MB, "
            f"service {_memory_mb(service_worker):.0f} MB"
        )


if __name__ == "__main__":
    main()
