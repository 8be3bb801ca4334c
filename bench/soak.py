"""``make soak``: a million requests to the server in sequence; memory and failures."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from bench.bodies import json_records, read_records
from bench.contestants import select_targets
from bench.load import drive, post
from bench.machine import header
from bench.running import Cores, process_memory, run_target
from model.artifacts import Store
from pipelines.cli.options import DEFAULT_DATA

WARM_UP_REQUESTS = 1000


@click.command()
@click.option(
    "--requests",
    "n_requests",
    default=1_000_000,
    show_default=True,
    help="Number of requests to send.",
)
@click.option(
    "--every", default=100_000, show_default=True, help="Requests between two lines of the table."
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("artifacts/cleveland"),
    show_default=True,
    help="Store whose current version is served.",
)
def main(n_requests: int, every: int, store: Path) -> None:
    """Send requests with one record in sequence; exit with status 1 if any of them failed."""
    target = select_targets(["service"], peers=False)[1]
    versions = Store(store)
    artifact = versions.read(versions.current().version)
    body = json_records(artifact.schema, read_records(artifact.schema, DEFAULT_DATA, 1))
    graph = artifact.folder / "model.onnx"
    cores = Cores.of_this_machine()
    for line in header("bench.soak", [target], cores):
        click.echo(f"    {line}")
    failures: Counter[str] = Counter()
    with run_target(target, body, store=store, graph=graph, cores=cores) as server:
        idle, request = server.cpu_seconds(), post(target.path, body)
        # The first requests allocate memory once; measure leaks after them.
        failures.update(drive(server.port, request, n_requests=WARM_UP_REQUESTS).failures)
        worker = server.busiest(1, idle)[0]
        start = memory = process_memory(worker)
        click.echo("\n| requests | RSS, MB | PSS, MB | failed | req/s |\n" + "| --- " * 5 + "|")
        click.echo(f"| 0 | {start.rss:.1f} | {start.pss:.1f} | {failures.total()} | |")
        for sent in [*range(every, n_requests, every), n_requests]:
            load = drive(server.port, request, n_requests=(sent - 1) % every + 1)
            failures.update(load.failures)
            try:
                memory = process_memory(worker)
            except OSError:
                failures["worker gone"] += 1
                break
            click.echo(
                f"| {sent:,} | {memory.rss:.1f} | {memory.pss:.1f} | {failures.total()} "
                f"| {load.per_second:,.0f} |"
            )
    summary = ", ".join(f"{n} x {kind}" for kind, n in failures.items()) or "none"
    click.echo(f"\nFailures: {summary}. RSS changed by {memory.rss - start.rss:+.1f} MB.")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
