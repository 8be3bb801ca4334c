"""``make soak``: a million requests in a row to the real server; its memory, and what failed."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import click

from bench.bodies import named, records_of
from bench.contestants import select_targets
from bench.load import drive, post
from bench.machine import header
from bench.running import Cores, memory_of, running
from model.artifacts import Store
from pipelines.cli.options import DEFAULT_DATA

WARM_UP_REQUESTS = 1000


@click.command()
@click.option("--requests", "n_requests", default=1_000_000, show_default=True)
@click.option("--every", default=100_000, show_default=True, help="Requests from line to line.")
@click.option("--store", type=click.Path(path_type=Path), default=Path("artifacts/cleveland"), show_default=True, help="Its current version is served.")  # fmt: skip
def main(n_requests: int, every: int, store: Path) -> None:
    """Send single-record requests in a row; exit with 1 where any of them failed."""
    contestant = select_targets(["service"], peers=False)[1]
    versions = Store(store)
    artifact = versions.read(versions.current().version)
    body = named(artifact.schema, records_of(artifact.schema, DEFAULT_DATA, 1))
    graph = artifact.folder / "model.onnx"
    cores = Cores.of_this_machine()
    for line in header("bench.soak", [contestant], cores):
        click.echo(f"    {line}")
    failures: Counter[str] = Counter()
    with running(contestant, body, store=store, graph=graph, cores=cores) as server:
        idle, request = server.cpu_seconds(), post(contestant.path, body)
        # What the first requests load for good is not taken for a leak.
        failures.update(drive(server.port, request, n_requests=WARM_UP_REQUESTS).failures)
        worker = server.busiest(1, idle)[0]
        start = memory = memory_of(worker)
        click.echo("\n| requests | RSS, MB | PSS, MB | failed | req/s |\n" + "| --- " * 5 + "|")
        click.echo(f"| 0 | {start.rss:.1f} | {start.pss:.1f} | {failures.total()} | |")
        for sent in [*range(every, n_requests, every), n_requests]:
            load = drive(server.port, request, n_requests=(sent - 1) % every + 1)
            failures.update(load.failures)
            try:
                memory = memory_of(worker)
            except OSError:
                failures["worker gone"] += 1
                break
            click.echo(
                f"| {sent:,} | {memory.rss:.1f} | {memory.pss:.1f} | {failures.total()} "
                f"| {load.per_second:,.0f} |"
            )
    said = ", ".join(f"{n} x {what}" for what, n in failures.items()) or "no error"
    click.echo(f"\n{said}; RSS {memory.rss - start.rss:+.1f} MB from the start to the end")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
