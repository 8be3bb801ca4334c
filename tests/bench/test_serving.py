"""A whole small run: real servers are started, proved right, measured and stopped."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.bodies import records_of
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
    records = records_of(schema, Path("data/cleveland.csv"), 10_000)
    yield Bench(trained.folder, trained.read("1"), records, Cores.of_this_machine())
    os.sched_setaffinity(0, usable)


def select_target(name: str) -> BenchmarkTarget:
    return select_targets([name], peers=False)[-1]


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_small_run(bench: Bench) -> None:
    two = select_target("service-two-workers")
    absent = dataclasses.replace(select_target("fastapi"), name="absent", peer="absent")
    broken = dataclasses.replace(two, name="broken", command="{python} -c 1/0")
    chosen = [*select_targets(["service"], peers=False), two, absent, broken]
    results = Results(["a machine"])
    run(bench, chosen, results, n_starts=1, n_rounds=2, seconds=1.0)
    assert "was not made" in results.not_measured["absent"]
    assert "ZeroDivisionError" in results.not_measured["broken"]
    assert set(results.not_measured) == {"absent", "broken"}
    for title in (ONE, MANY):
        assert {name: len(its) for name, its in results.rounds[title].items()} == {
            "floor": 2,
            "service": 2,
        }
        for one in results.rounds[title]["service"]:
            assert one.per_second > 0
            assert 0 < one.p50_ms <= one.p99_ms
            assert 0 < one.cpu_us < 1e6 / one.per_second * 1.5, "more than a core's time"
    (start,) = results.starts["service"]
    assert 0 < start.first_answer_s < 60
    assert 20 < start.pss_mb[0] <= start.rss_mb[0] < 500
    assert start.pss_mb[0] < start.all_pss_mb
    assert len(results.starts["service-two-workers"][0].rss_mb) == 2
    text = markdown(results)
    assert text.startswith("    a machine\n")
    assert re.search(r"^\| service \| [\d,]+ \|", text, re.M)
    assert "- absent: " in text


def test_the_worker_is_told_from_its_master_and_nothing_is_left_running(bench: Bench) -> None:
    with bench.running(select_target("service")) as server:
        before = server.cpu_seconds()
        bench.measure_round(select_target("service"), server, ONE, 0.3)
        (worker,) = server.busiest(1, before)
        pids = list(before)
        assert worker in pids
        assert worker != server.process.pid
        assert os.sched_getaffinity(worker) == {bench.cores.server}
    assert all(gone(pid) for pid in pids)


def test_a_contestant_that_answers_something_else_is_not_measured(bench: Bench) -> None:
    liar = dataclasses.replace(
        select_target("floor"), probability=lambda answer: answer["probability"]
    )
    with pytest.raises(DidNotStart, match=r"answers 0\.5, and the graph"), bench.running(liar):
        pass


@pytest.mark.slow
def test_the_tutorial_answers_what_the_graph_answers(bench: Bench) -> None:
    with bench.running(select_target("tutorial")) as server:
        assert 0 < server.answer["probability"] < 1


def test_contestants_are_declared_once_and_the_floor_is_first() -> None:
    names = [contestant.name for contestant in TARGETS]
    assert len(set(names)) == len(names)
    own = [c.name for c in select_targets(None, peers=False)]
    assert own == [
        "floor",
        "floor-wsgi",
        "tutorial",
        "service",
        "service-two-workers",
        "service-ordinary",
    ]
    peers = [c.name for c in select_targets(None, peers=True)]
    assert peers[:3] == ["floor", "service", "service-ordinary"]
    assert {"fastapi", "mlserver", "bentoml", "mlflow", "service-granian"} <= set(peers)
    assert [c.name for c in select_targets(["mlflow", "floor"], peers=False)] == [
        "floor",
        "mlflow",
    ]
    with pytest.raises(ValueError, match="there is no nobody"):
        select_targets(["nobody"], peers=False)


def test_make_makes_the_environment_of_every_peer() -> None:
    found = re.search(r"^PEERS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert found
    declared = {contestant.peer for contestant in TARGETS if contestant.peer}
    assert set(found[1].split()) == declared
    for peer in declared:
        assert (ROOT / "bench/peers" / peer / "requirements.txt").exists()


def test_ratios_are_taken_round_by_round() -> None:
    def rounds(*rates: float) -> list[Round]:
        return [Round(rate, 1.0, 2.0, 100.0, 0.1) for rate in rates]

    found = ratios(rounds(100, 60, 30), rounds(50, 60, 60), lambda one: one.per_second)
    assert found == [2.0, 1.0, 0.5]
    assert median_and_range(found) == "1.00 (0.50-2.00)"
    assert median_and_range([3.0, 3.0], 0) == "3"
    assert median_and_range([0.004, 0.005, 0.006]) == "0.0050 (0.0040-0.0060)"


def test_a_load_generator_at_its_end_is_named() -> None:
    tired = {
        "floor": [Round(1.0, 1.0, 1.0, 1.0, 0.95)],
        "service": [Round(1.0, 1.0, 1.0, 1.0, 0.2)],
    }
    text = markdown(Results([], rounds={ONE: tired}))
    assert "- floor, one record a request: the load generator used 95% of its core" in text
    assert "- service" not in text
