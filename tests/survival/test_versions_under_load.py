"""Tests of version changes and damage to the store under load."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.artifacts import Store
from pipelines.devices import select_device
from tests.conftest import ROOT, ReportMeasurement
from tests.survival.clients import Clients
from tests.survival.processes import memory_mb

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two_versions(trained: Store, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with two versions that predict differently; the first is current."""
    device = select_device("cpu")
    from model.training import TrainingConfig
    from pipelines.training import RetrainRequest, retrain_model

    folder = tmp_path_factory.mktemp("two") / "cleveland"
    store = Store(shutil.copytree(trained.folder, folder))
    schema = store.read("1").schema
    config = TrainingConfig(epochs=5, seed=7)
    data = ROOT / "data/cleveland.csv"
    retrain_model(
        RetrainRequest(data, schema, config, "default", device, "pytest", report=False), store
    )
    assert store.versions() == ["1", "2"]
    store.promote("1")
    return store


@pytest.fixture
def changing(two_versions: Store, tmp_path: Path) -> Store:
    return Store(shutil.copytree(two_versions.folder, tmp_path / "cleveland"))


class OneVersion:
    """A check that each response has the probabilities of the version that it names."""

    def __init__(self, store: Store, record: dict[str, Any], n: int) -> None:
        from model.inference import Scorer
        from model.records import RecordValidator

        self.content = [{**record, "age": 30 + i % 40} for i in range(n)]
        self._expected = {}
        for version in ("1", "2"):
            artifact = store.read(version)
            values = RecordValidator(artifact.schema).values(self.content)
            self._expected[version] = Scorer(artifact).graph.probabilities(values).tolist()
        differences = zip(self._expected["1"], self._expected["2"], strict=True)
        assert all(abs(first - second) > 1e-4 for first, second in differences)

    def __call__(self, content: dict[str, Any]) -> str | None:
        probabilities = [prediction["probability"] for prediction in content["predictions"]]
        expected = self._expected[content["version"]]
        close = all(abs(a - b) < 1e-6 for a, b in zip(probabilities, expected, strict=True))
        return None if close else f"not the answers of version {content['version']}"


def wait_until_served(server: Any, version: str, n_workers: int = 2) -> float:
    """Wait until every worker serves a version, and return the seconds that took."""
    start = time.monotonic()
    for _ in range(2_000):
        if {server.get("/readyz")[1]["version"] for _ in range(6 * n_workers)} == {version}:
            return time.monotonic() - start
        time.sleep(0.01)
    raise AssertionError(f"version {version} was never served")


def test_a_hundred_version_changes(
    changing: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
) -> None:
    """No request fails, no response mixes two versions, and memory does not grow."""
    check = OneVersion(changing, record, n=50)
    with serve(changing.folder, WORKERS="2", RELOAD_SECONDS="0.2") as server:
        clients = Clients(server.address, check.content, check=check, n_clients=4)
        with clients.running() as outcomes:
            memory = []
            for change in range(1, 121):
                changing.promote("2" if change % 2 else "1")
                wait_until_served(server, "2" if change % 2 else "1")
                if change in (20, 70, 120):
                    memory.append(memory_mb(server))
        report_measurement(
            f"{outcomes}; memory after 20, 70, 120 changes: {[round(m, 1) for m in memory]} MB"
        )
    assert not outcomes.failures and not outcomes.wrong and set(outcomes.answers) == {200}
    assert min(outcomes.versions.values()) > 100, "both versions must have answered"
    # Memory of both workers. It first grows by some MB, when pages shared with the parent are
    # written to, and then levels off. One worker grew over 400 changes by 4.6, 0.4, 1.2, 0.5 and
    # 0.0 MB per 80 changes.
    assert memory[2] - memory[0] < 8, "a hundred changes must not keep memory"


def test_workers_notice_within_two_seconds(
    changing: Store, serve: Any, report_measurement: ReportMeasurement
) -> None:
    """Test with the default settings."""
    with serve(changing.folder, WORKERS="2") as server:
        durations = []
        for version in ("2", "1", "2", "1", "2"):
            changing.promote(version)
            durations.append(wait_until_served(server, version))
    report_measurement(f"served by both workers after {', '.join(f'{s:.2f}' for s in durations)} s")
    assert max(durations) < 2


def delete_store(store: Store) -> None:
    shutil.rmtree(store.folder)


def delete_graph(store: Store) -> None:
    (store.path("2") / "model.onnx").unlink()
    store.promote("2")


def truncate_graph(store: Store) -> None:
    graph = store.path("2") / "model.onnx"
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])
    store.promote("2")


def make_graph_unreadable(store: Store) -> None:
    """Replace the file by a folder, which root cannot read as a file either."""
    graph = store.path("2") / "model.onnx"
    graph.unlink()
    graph.mkdir()
    store.promote("2")


def truncate_pointer(store: Store) -> None:
    (store.folder / "current.json").write_text('{"version": ')


def exchange_graph(store: Store) -> None:
    """Write a version with the graph of another version and valid checksums."""
    from model.artifacts.artifact import write_artifact

    first, second = store.read("1"), store.read("2")
    shutil.rmtree(second.folder)
    write_artifact(
        second.folder, second.manifest, {**second.files, "model.onnx": first.files["model.onnx"]}
    )
    store.promote("2")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (delete_store, "no version is current yet"),
        (delete_graph, "model.onnx is missing"),
        (truncate_graph, "model.onnx does not match its checksum"),
        (make_graph_unreadable, "model.onnx cannot be read"),
        (truncate_pointer, "current.json is damaged"),
        (exchange_graph, "differ by"),
    ],
)
def test_old_version_keeps_serving(
    changing: Store,
    serve: Any,
    record: dict[str, Any],
    report_measurement: ReportMeasurement,
    damage: Callable[[Store], None],
    reason: str,
) -> None:
    """No request fails, and /readyz, the log and the metrics report the failure."""
    check = OneVersion(changing, record, n=1)
    failures: list[str] = []

    def noticed() -> bool:
        """Return whether the responding worker has noticed the failure. The other may not have."""
        failures.extend(filter(None, [server.get("/readyz")[1].get("reload_failure")]))
        return bool(failures)

    with serve(changing.folder, WORKERS="2", RELOAD_SECONDS="0.2") as server:
        wait_until_served(server, "1")
        clients = Clients(server.address, check.content, check=check, n_clients=4)
        with clients.running() as outcomes:
            damage(changing)
            server.wait_until(noticed, "the failure to be reported")
            clients.wait_for(500)
            failure = failures[0]
            metrics = server.text("/metrics")
        server.stop()
    report_measurement(f"{failure!r}; {outcomes}")
    assert reason in failure
    assert reason in server.output, "the log contains the reason"
    assert 'tabular_reloads_total{result="failed"}' in metrics
    assert "tabular_reload_failing 1.0" in metrics
    assert not outcomes.failures and not outcomes.wrong and set(outcomes.versions) == {"1"}
    logged = [line for line in server.output.splitlines() if "not loaded" in line]
    assert len(logged) <= 4, "logged once by each worker, not at every check"
    assert json.loads(logged[0])["level"] == "error"
