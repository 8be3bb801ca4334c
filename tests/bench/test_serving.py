"""A small benchmark run: servers are started, verified, measured and stopped."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.bodies import read_records
from bench.contestants import TARGETS, BenchmarkTarget, select_targets
from bench.results import MANY, ONE, Results, Round, markdown, median_and_range, ratios
from bench.running import Cores, DidNotStart
from bench.serving import Bench, run
from model.artifacts import Store
from model.schema import Schema
from tests.conftest import ROOT


@pytest.fixture
def bench(trained: Store, schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(ROOT)
    usable = os.sched_getaffinity(0)
    records = read_records(schema, Path("data/cleveland.csv"), 10_000)
    yield Bench(trained.folder, trained.read("1"), records, Cores.of_this_machine())
    os.sched_setaffinity(0, usable)


def select_target(name: str) -> BenchmarkTarget:
    return select_targets([name], peers=False)[-1]


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_small_run(bench: Bench) -> None:
    two_workers = select_target("service-two-workers")
    absent = dataclasses.replace(select_target("fastapi"), name="absent", peer="absent")
    broken = dataclasses.replace(two_workers, name="broken", command="{python} -c 1/0")
    targets = [*select_targets(["service"], peers=False), two_workers, absent, broken]
    results = Results(["a machine"])
    run(bench, targets, results, n_starts=1, n_rounds=2, seconds=1.0)
    assert "does not exist" in results.not_measured["absent"]
    assert "ZeroDivisionError" in results.not_measured["broken"]
    assert set(results.not_measured) == {"absent", "broken"}
    for title in (ONE, MANY):
        n_rounds = {name: len(rounds) for name, rounds in results.rounds[title].items()}
        assert n_rounds == {"floor": 2, "service": 2}
        for measured in results.rounds[title]["service"]:
            assert measured.per_second > 0
            assert 0 < measured.p50_ms <= measured.p99_ms
            assert 0 < measured.cpu_us < 1e6 / measured.per_second * 1.5, "more than a core's time"
    (start,) = results.starts["service"]
    assert 0 < start.first_answer_s < 60
    assert 20 < start.pss_mb[0] <= start.rss_mb[0] < 500
    assert start.pss_mb[0] < start.all_pss_mb
    assert len(results.starts["service-two-workers"][0].rss_mb) == 2
    text = markdown(results)
    assert text.startswith("    a machine\n")
    assert re.search(r"^\| service \| [\d,]+ \|", text, re.M)
    assert "- absent: " in text


def test_the_worker_is_identified_and_every_process_is_stopped(bench: Bench) -> None:
    with bench.run_target(select_target("service")) as server:
        before = server.cpu_seconds()
        bench.measure_round(select_target("service"), server, ONE, 0.3)
        (worker,) = server.busiest(1, before)
        pids = list(before)
        assert worker in pids
        assert worker != server.process.pid
        assert os.sched_getaffinity(worker) == {bench.cores.server}
    assert all(has_ended(pid) for pid in pids)


def test_a_target_with_another_probability_is_not_measured(bench: Bench) -> None:
    constant = dataclasses.replace(
        select_target("floor"), probability=lambda response: response["probability"]
    )
    with pytest.raises(DidNotStart, match=r"received 0\.5"), bench.run_target(constant):
        pass


@pytest.mark.slow
def test_the_tutorial_has_the_probability_of_the_graph(bench: Bench) -> None:
    with bench.run_target(select_target("tutorial")) as server:
        assert 0 < server.response["probability"] < 1


def test_target_names_are_unique_and_the_floor_is_first() -> None:
    names = [target.name for target in TARGETS]
    assert len(set(names)) == len(names)
    without_peers = [target.name for target in select_targets(None, peers=False)]
    assert without_peers == [
        "floor",
        "floor-wsgi",
        "tutorial",
        "service",
        "service-two-workers",
        "service-gthread",
    ]
    peers = [target.name for target in select_targets(None, peers=True)]
    assert peers[:3] == ["floor", "service", "service-gthread"]
    assert {"fastapi", "mlserver", "bentoml", "mlflow", "service-granian"} <= set(peers)
    by_name = select_targets(["mlflow", "floor"], peers=False)
    assert [target.name for target in by_name] == ["floor", "mlflow"]
    with pytest.raises(ValueError, match="unknown target: flask"):
        select_targets(["flask"], peers=False)


def test_the_makefile_creates_the_environment_of_every_peer() -> None:
    peers = re.search(r"^PEERS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert peers
    declared = {target.peer for target in TARGETS if target.peer}
    assert set(peers[1].split()) == declared
    for peer in declared:
        assert (ROOT / "bench/peers" / peer / "requirements.txt").exists()


def test_ratios_are_computed_round_by_round() -> None:
    def rounds(*rates: float) -> list[Round]:
        return [Round(rate, 1.0, 2.0, 100.0, 0.1) for rate in rates]

    own, baseline = rounds(100, 60, 30), rounds(50, 60, 60)
    rate_ratios = ratios(own, baseline, lambda measured: measured.per_second)
    assert rate_ratios == [2.0, 1.0, 0.5]
    assert median_and_range(rate_ratios) == "1.00 (0.50-2.00)"
    assert median_and_range([3.0, 3.0], 0) == "3"
    assert median_and_range([0.004, 0.005, 0.006]) == "0.0050 (0.0040-0.0060)"


def test_the_report_names_targets_limited_by_the_load_generator() -> None:
    rounds = {
        "floor": [Round(1.0, 1.0, 1.0, 1.0, 0.95)],
        "service": [Round(1.0, 1.0, 1.0, 1.0, 0.2)],
    }
    text = markdown(Results([], rounds={ONE: rounds}))
    assert "- floor, one record a request: the load generator used 95% of its core" in text
    assert "- service" not in text
