"""``make bench`` and ``make bench-peers``: contestants side by side, in alternating rounds.

Each contestant is a process of its own, on one core; the load generator has another. First each
is started alone, a few times, for its first answer and its memory; then all run, and take turns
under load. Ratios of one run are what counts: absolute figures drift with the machine.
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

from bench.bodies import Record, coded, records_of
from bench.contestants import BenchmarkTarget, select_targets
from bench.load import measure, post
from bench.machine import header
from bench.results import MANY, ONE, Results, Round, Start, markdown
from bench.running import Cores, DidNotStart, Running, memory_of, running
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
    """What the contestants of a run share.

    Attributes:
        store: whose current version everybody serves.
        artifact: that version.
        records: of the bundled table, 10,000.
    """

    store: Path
    artifact: Artifact
    records: Sequence[Record]
    cores: Cores

    def request(self, contestant: BenchmarkTarget, title: str) -> bytes:
        """The bytes of its request with as many records as the title says."""
        records = self.records[: N_RECORDS[title]]
        return post(contestant.path, contestant.body(self.artifact.schema, records))

    @contextmanager
    def running(self, contestant: BenchmarkTarget) -> Iterator[Running]:
        """The contestant, started, and proved to answer what the graph answers.

        Raises:
            DidNotStart: also where its answer is another.
        """
        schema, record = self.artifact.schema, self.records[0]
        graph = self.artifact.folder / "model.onnx"
        body = contestant.body(schema, [record])
        with running(contestant, body, store=self.store, graph=graph, cores=self.cores) as server:
            if contestant.probability:
                values = np.array([coded(schema, record)], dtype=np.float32)
                right = float(OnnxSession(graph.read_bytes()).probabilities(values)[0])
                answered = contestant.probability(server.answer)
                if not abs(answered - right) < TOLERANCE:
                    raise DidNotStart(f"it answers {answered}, and the graph {right}")
            yield server

    def start_alone(self, contestant: BenchmarkTarget) -> Start:
        """Start a contestant with no other running, for its first answer and its memory."""
        with self.running(contestant) as server:
            before = server.cpu_seconds()
            # More clients than in the rounds, so that each of several workers gets some.
            n_clients = 16 * contestant.n_workers
            measure(server.port, self.request(contestant, ONE), seconds=1, connections=n_clients)
            memory = [memory_of(pid) for pid in server.busiest(contestant.n_workers, before)]
            return Start(
                first_answer_s=server.first_answer_s,
                rss_mb=[worker.rss for worker in memory],
                pss_mb=[worker.pss for worker in memory],
                all_pss_mb=server.all_pss(),
            )

    def measure_round(
        self, contestant: BenchmarkTarget, server: Running, title: str, seconds: float
    ) -> Round:
        """One turn of one contestant under load."""
        before = sum(server.cpu_seconds().values())
        load = measure(
            server.port,
            self.request(contestant, title),
            seconds=seconds,
            connections=N_CLIENTS[title],
        )
        cpu_us = (sum(server.cpu_seconds().values()) - before) / load.n_answers * 1e6
        return Round(load.per_second, load.p50_ms, load.p99_ms, cpu_us, load.busy)


def run(
    bench: Bench,
    contestants: Sequence[BenchmarkTarget],
    results: Results,
    *,
    n_starts: int,
    n_rounds: int,
    seconds: float,
) -> None:
    """Measure the contestants into the results: each alone first, then all in turns."""
    for contestant in contestants:
        with _recording_failure(contestant, results):
            starts = [bench.start_alone(contestant) for _ in range(n_starts)]
            results.starts[contestant.name] = starts
            _progress(f"{contestant.name}: started {n_starts} times")
    with ExitStack() as stack:
        servers: dict[str, tuple[BenchmarkTarget, Running]] = {}
        for contestant in contestants:
            if contestant.name in results.starts and not contestant.only_memory:
                with _recording_failure(contestant, results):
                    server = stack.enter_context(bench.running(contestant))
                    servers[contestant.name] = contestant, server
        for title in (ONE, MANY):
            rounds: dict[str, list[Round]] = {
                name: [] for name, (c, _) in servers.items() if title == ONE or c.batch
            }
            results.rounds[title] = rounds
            # Round 0 warms up and is thrown away. Every other round goes the other way about, so
            # that a machine that grows slower meanwhile is no advantage to anybody.
            for number in range(n_rounds + 1):
                for name in list(rounds) if number % 2 else list(reversed(rounds)):
                    contestant, server = servers[name]
                    with _recording_failure(contestant, results):
                        wanted = seconds if number else WARM_UP_SECONDS
                        measured = bench.measure_round(contestant, server, title, wanted)
                        if number:
                            rounds[name].append(measured)
                    if name in results.not_measured:
                        del rounds[name]
                _progress(f"{title.lower()}: round {number} of {n_rounds}")


@contextmanager
def _recording_failure(contestant: BenchmarkTarget, results: Results) -> Iterator[None]:
    """Whoever fails is left out from here on, and the reason stands in the results."""
    try:
        yield
    except (DidNotStart, RuntimeError, OSError) as error:
        results.not_measured[contestant.name] = str(error)
        _progress(f"{contestant.name}: {error}")


def _progress(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.option("--only", metavar="NAME,...", help="Contestants to measure, besides the floor.")
@click.option("--peers", is_flag=True, help="The other serving systems, beside floor and service.")
@click.option("--rounds", default=5, show_default=True, help="Turns of each contestant.")
@click.option("--seconds", default=3.0, show_default=True, help="Of one turn.")
@click.option("--starts", default=3, show_default=True, help="Starts alone, for memory and start.")
@click.option("--store", type=click.Path(path_type=Path), default=Path("artifacts/cleveland"), show_default=True, help="Its current version is served.")  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every single figure there as well.")  # fmt: skip
def main(
    only: str | None,
    peers: bool,
    rounds: int,
    seconds: float,
    starts: int,
    store: Path,
    json_file: Path | None,
) -> None:
    """Measure contestants side by side, and print tables of their ratios to the floor."""
    try:
        contestants = select_targets(only.split(",") if only else None, peers=peers)
        versions = Store(store)
        artifact = versions.read(versions.current().version)
    except (ValueError, ModelError) as error:
        raise click.ClickException(str(error)) from None
    cores = Cores.of_this_machine()
    results = Results(header("bench.serving", contestants, cores))
    bench = Bench(store, artifact, records_of(artifact.schema, DEFAULT_DATA, 10_000), cores)
    run(bench, contestants, results, n_starts=starts, n_rounds=rounds, seconds=seconds)
    click.echo(markdown(results))
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    sys.exit(1 if results.not_measured else 0)


if __name__ == "__main__":
    main()
