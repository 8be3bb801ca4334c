"""The registry: promotion, damaged versions, polling of the store."""

from __future__ import annotations

import time
from typing import Any

from app import Settings, create_app
from app.models import ModelRegistry
from app.web import Metrics
from model.artifacts import Artifact, Store
from model.artifacts.artifact import add_metrics


def test_a_promoted_version_serves(store: Store, artifact: Artifact) -> None:
    registry = ModelRegistry(Settings(model_store=store.folder), Metrics())
    registry.refresh()
    store.add(artifact.manifest, artifact.files)
    registry.refresh()
    assert registry.get().version == "1", "a version must not serve before it is promoted"
    store.promote("2")
    registry.refresh()
    assert registry.get().version == "2"
    store.rollback()
    registry.refresh()
    assert registry.get().version == "1"


def test_the_previous_version_serves_if_a_new_one_is_damaged(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    app = create_app(Settings(model_store=store.folder, reload_seconds=3600))
    client = app.test_client()
    before = client.post("/predict", json=record).get_json()
    store.add(artifact.manifest, artifact.files)
    graph = store.path("2") / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    store.promote("2")
    app.models.refresh()
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.get_json() == {
        "ready": True,
        "version": "1",
        "reload_failure": "version 2: model.onnx does not match its checksum",
    }
    assert client.post("/predict", json=record).get_json() == before
    store.rollback()
    app.models.refresh()
    assert "reload_failure" not in client.get("/readyz").get_json()


def test_metrics_added_to_the_serving_version_are_returned(
    store: Store, artifact: Artifact
) -> None:
    app = create_app(Settings(model_store=store.folder, reload_seconds=3600))
    client = app.test_client()
    assert "evaluation" not in client.get("/model").get_json()["metrics"]
    add_metrics(artifact, {"evaluation": {"done": True}})
    app.models.refresh()
    assert client.get("/model").get_json()["metrics"]["evaluation"] == {"done": True}


def test_the_store_is_polled(store: Store, artifact: Artifact) -> None:
    registry = ModelRegistry(Settings(model_store=store.folder, reload_seconds=0.05), Metrics())
    assert registry.get().version == "1"
    store.add(artifact.manifest, artifact.files)
    store.promote("2")
    for _ in range(100):
        if registry.get().version == "2":
            return
        time.sleep(0.05)
    raise AssertionError("the promoted version was never loaded")
