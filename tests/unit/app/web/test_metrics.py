"""Metrics: the counters of requests and records, reloads, and the slots of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import Settings, create_app
from app.web import Metrics, preallocate_slot, release_slot
from app.web.metrics import MULTIPROC_DIR, PROBABILITIES
from model.artifacts import Artifact, Store

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(metrics: Samples, name: str, **labels: str) -> float:
    return metrics.get((name, tuple(sorted(labels.items()))), 0.0)


def test_requests_and_records_are_counted(trained: Store, record: dict[str, Any]) -> None:
    client = create_app(Settings(model_store=trained.folder)).test_client()
    client.post("/predict", json=[record] * 3)
    client.post("/predict", json={**record, "ca": None, "thal": None})
    client.post("/predict", json=[{**record, "ca": None}, record])
    client.post("/predict", json=[{**record, "age": 0, "MARKED8151815": 1}, {**record, "age": 0}])
    client.post("/predict", data="{", content_type="application/json")
    client.get("/MARKED8151815")
    response = client.get("/metrics")
    assert response.mimetype == "text/plain"
    metrics = samples(response.text)
    requests = {"route": "/predict", "version": "1"}
    assert value(metrics, "tabular_requests_total", **requests, status="200") == 3
    assert value(metrics, "tabular_requests_total", **requests, status="422") == 1
    assert value(metrics, "tabular_requests_total", **requests, status="400") == 1
    assert value(metrics, "tabular_requests_total", route="(none)", version="", status="404") == 1
    assert value(metrics, "tabular_request_seconds_count", route="/predict") == 5
    assert 0 < value(metrics, "tabular_request_seconds_sum", route="/predict") < 60
    assert value(metrics, "tabular_records_total", version="1") == 6
    assert value(metrics, "tabular_missing_values_total", column="ca") == 2
    assert value(metrics, "tabular_missing_values_total", column="thal") == 1
    rejected = "tabular_rejected_records_total"
    assert value(metrics, rejected, column="age", code="out_of_range") == 2
    assert value(metrics, rejected, column="(none)", code="unknown_column") == 1
    assert value(metrics, "tabular_probability_count", version="1") == 6
    assert value(metrics, "tabular_model_workers", version="1") == 1
    assert value(metrics, "tabular_reloads_total", result="loaded") == 1
    assert value(metrics, "tabular_reload_failing") == 0
    created = value(metrics, "tabular_model_created_timestamp_seconds", version="1")
    assert created > 1.7e9
    assert "MARKED8151815" not in response.text


@pytest.mark.parametrize("n", [1, 2, 10_000])
def test_probabilities_are_counted_like_single_observations(n: int) -> None:
    """The bulk update fills the same buckets as prometheus_client, ends included."""
    probabilities = np.random.default_rng(0).random(n).astype(np.float32)
    probabilities[0] = np.float32(0.5)
    bulk, single = Metrics(), Metrics()
    bulk.observe_predictions("1", probabilities, {})
    for probability in probabilities.tolist():
        single.probability.labels("1").observe(probability)
    names = [
        *(("tabular_probability_bucket", le) for le in map(str, PROBABILITIES)),
        ("tabular_probability_bucket", "+Inf"),
    ]
    bulk_samples, single_samples = samples(bulk.text().decode()), samples(single.text().decode())
    for name, le in names:
        assert value(bulk_samples, name, version="1", le=le) == value(
            single_samples, name, version="1", le=le
        )
    total = value(bulk_samples, "tabular_probability_sum", version="1")
    assert total == pytest.approx(value(single_samples, "tabular_probability_sum", version="1"))


def test_a_failed_reload_is_counted_until_it_is_resolved(store: Store, artifact: Artifact) -> None:
    app = create_app(Settings(model_store=store.folder, reload_seconds=3600))
    client = app.test_client()
    client.get("/readyz")
    store.add(artifact.manifest, artifact.files)
    (store.path("2") / "model.onnx").write_bytes(b"?")
    store.promote("2")
    for _ in range(3):
        app.models.refresh()
    metrics = samples(client.get("/metrics").text)
    assert value(metrics, "tabular_reloads_total", result="failed") == 1
    assert value(metrics, "tabular_reload_failing") == 1
    store.rollback()
    app.models.refresh()
    assert value(samples(client.get("/metrics").text), "tabular_reload_failing") == 0


def test_the_workers_gauge_moves_with_the_version(store: Store, artifact: Artifact) -> None:
    app = create_app(Settings(model_store=store.folder, reload_seconds=3600))
    client = app.test_client()
    client.get("/readyz")
    store.add(artifact.manifest, artifact.files)
    store.promote("2")
    app.models.refresh()
    metrics = samples(client.get("/metrics").text)
    assert value(metrics, "tabular_model_workers", version="1") == 0
    assert value(metrics, "tabular_model_workers", version="2") == 1


def test_a_released_slot_keeps_its_disk_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk has no space for new files. The live gauges of the dead worker are cleared."""
    monkeypatch.setenv(MULTIPROC_DIR, str(tmp_path))
    preallocate_slot("0")
    files = {file: file.stat().st_size for file in tmp_path.iterdir()}
    for file in files:
        with file.open("r+b") as handle:
            handle.write(b"\x08")  # the length of the used part of a file with values
    release_slot("0")
    assert files == {file: file.stat().st_size for file in tmp_path.iterdir()}
    kept = {file.name for file in files if file.read_bytes()[0]}
    assert kept == {"counter_0.db", "histogram_0.db"}
