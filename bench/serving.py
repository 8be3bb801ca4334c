"""``make bench`` and ``make bench-peers``: servers compared in alternating rounds.

Each server runs in its own process on one core; the load generator runs on another core. First each
server is started alone a few times, for its first response and its memory. Then all run and take
turns under load. Only ratios within a run are meaningful: absolute figures drift with the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
import numpy as np

from bench.bodies import Record, encode_record, read_records
from bench.contestants import BenchmarkTarget, select_targets
from bench.load import measure, post
from bench.machine import header
from bench.results import MANY, ONE, Results, Round, Start, markdown
from bench.running import Cores, DidNotStart, RunningTarget, process_memory, run_target
from model.artifacts import Artifact, Store
from model.errors import ModelError
from model.inference import OnnxSession
from pipelines.cli.options import DEFAULT_DATA

N_RECORDS = {ONE: 1, MANY: 10_000}
N_CLIENTS = {ONE: 8, MANY: 1}
WARM_UP_SECONDS = 1.0
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Bench:
    """The settings that all targets of a run share.

    Attributes:
        store: the store whose current version is served.
        artifact: that version.
        records: 10,000 records of the bundled table.
        cores: the cores of the server and of the load generator.
    """

    store: Path
    artifact: Artifact
    records: Sequence[Record]
    cores: Cores

    def request(self, target: BenchmarkTarget, title: str) -> bytes:
        """Return a target's request with the number of records of a title."""
        records = self.records[: N_RECORDS[title]]
        return post(target.path, target.body(self.artifact.schema, records))

    @contextmanager
    def run_target(self, target: BenchmarkTarget) -> Iterator[RunningTarget]:
        """Start a target, verify its first response, and stop it at the end.

        Raises:
            DidNotStart: the target did not start, or its probability differs from the graph's.
        """
        schema, record = self.artifact.schema, self.records[0]
        graph = self.artifact.folder / "model.onnx"
        body = target.body(schema, [record])
        with run_target(target, body, store=self.store, graph=graph, cores=self.cores) as server:
            if target.probability:
                values = np.array([encode_record(schema, record)], dtype=np.float64)
                expected = float(OnnxSession(graph.read_bytes()).probabilities(values)[0])
                received = target.probability(server.response)
                if not abs(received - expected) < TOLERANCE:
                    raise DidNotStart(
                        f"expected the graph's probability {expected}, received {received}"
                    )
            yield server

    def start_alone(self, target: BenchmarkTarget) -> Start:
        """Start a target without any other, and measure its first response and its memory."""
        with self.run_target(target) as server:
            before = server.cpu_seconds()
            # More clients than in the rounds, so that each of several workers receives requests.
            n_clients = 16 * target.n_workers
            measure(server.port, self.request(target, ONE), seconds=1, connections=n_clients)
            workers = server.busiest(target.n_workers, before)
            memory = [process_memory(pid) for pid in workers]
            return Start(
                first_answer_s=server.first_answer_s,
                rss_mb=[worker.rss for worker in memory],
                pss_mb=[worker.pss for worker in memory],
                all_pss_mb=server.total_pss(),
            )

    def measure_round(
        self, target: BenchmarkTarget, server: RunningTarget, title: str, seconds: float
    ) -> Round:
        """Measure one round of one target."""
        before = sum(server.cpu_seconds().values())
        load = measure(
            server.port,
            self.request(target, title),
            seconds=seconds,
            connections=N_CLIENTS[title],
        )
        cpu_us = (sum(server.cpu_seconds().values()) - before) / load.n_answers * 1e6
        return Round(load.per_second, load.p50_ms, load.p99_ms, cpu_us, load.busy)


def run(
    bench: Bench,
    targets: Sequence[BenchmarkTarget],
    results: Results,
    *,
    n_starts: int,
    n_rounds: int,
    seconds: float,
) -> None:
    """Measure the targets, first each alone, then all in alternating rounds.

    Args:
        bench: the settings of the run.
        targets: the servers to measure. One that fails is not measured any further.
        results: receives starts, rounds and failures.
        n_starts: starts of each target.
        n_rounds: rounds of each target.
        seconds: duration of a round.
    """
    for target in targets:
        with _recording_failure(target, results):
            results.starts[target.name] = [bench.start_alone(target) for _ in range(n_starts)]
            _progress(f"{target.name}: started {n_starts} times")
    with ExitStack() as stack:
        servers: dict[str, tuple[BenchmarkTarget, RunningTarget]] = {}
        for target in targets:
            if target.name in results.starts and not target.only_memory:
                with _recording_failure(target, results):
                    server = stack.enter_context(bench.run_target(target))
                    servers[target.name] = target, server
        for title in (ONE, MANY):
            rounds: dict[str, list[Round]] = {
                name: [] for name, (t, _) in servers.items() if title == ONE or t.batch
            }
            results.rounds[title] = rounds
            # Round 0 is a warm-up and not recorded. Every second round runs in reverse order, so
            # that no target benefits from a machine that becomes slower or faster meanwhile.
            for number in range(n_rounds + 1):
                for name in list(rounds) if number % 2 else list(reversed(rounds)):
                    target, server = servers[name]
                    with _recording_failure(target, results):
                        duration = seconds if number else WARM_UP_SECONDS
                        measured = bench.measure_round(target, server, title, duration)
                        if number:
                            rounds[name].append(measured)
                    if name in results.not_measured:
                        del rounds[name]
                _progress(f"{title}: round {number} of {n_rounds}")


@contextmanager
def _recording_failure(target: BenchmarkTarget, results: Results) -> Iterator[None]:
    """Record the failure of a target in the results instead of raising it."""
    try:
        yield
    except (DidNotStart, RuntimeError, OSError) as error:
        results.not_measured[target.name] = str(error)
        _progress(f"{target.name}: {error}")


def _progress(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.option("--only", metavar="NAME,...", help="Targets to measure in addition to the floor.")
@click.option(
    "--peers", is_flag=True, help="Measure other serving systems, the floor and the service."
)
@click.option("--rounds", default=5, show_default=True, help="Rounds of each target.")
@click.option("--seconds", default=3.0, show_default=True, help="Duration of a round.")
@click.option(
    "--starts",
    default=3,
    show_default=True,
    help="Starts of each target alone, for memory and first response.",
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    default=Path("artifacts/cleveland"),
    show_default=True,
    help="Store whose current version is served.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write all figures to.",
)
def main(
    only: str | None,
    peers: bool,
    rounds: int,
    seconds: float,
    starts: int,
    store: Path,
    json_file: Path | None,
) -> None:
    """Measure servers in alternating rounds, and print tables of their ratios to the floor.

    Exits with status 1 if a target could not be measured.
    """
    try:
        targets = select_targets(only.split(",") if only else None, peers=peers)
        versions = Store(store)
        artifact = versions.read(versions.current().version)
    except (ValueError, ModelError) as error:
        raise click.ClickException(str(error)) from None
    cores = Cores.of_this_machine()
    results = Results(header("bench.serving", targets, cores))
    bench = Bench(store, artifact, read_records(artifact.schema, DEFAULT_DATA, 10_000), cores)
    run(bench, targets, results, n_starts=starts, n_rounds=rounds, seconds=seconds)
    click.echo(markdown(results))
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    sys.exit(1 if results.not_measured else 0)


if __name__ == "__main__":
    main()
