"""Load and unload requests: shared by the workers, applied to the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import Settings
from app.models import LoadOverrides, ModelRegistry
from app.models.load_overrides import OverrideState
from app.web import ApiError, Metrics, NotReady
from model.artifacts import Artifact, Store
from model.errors import UnknownVersion


@pytest.fixture
def two_versions(store: Store, artifact: Artifact) -> Store:
    """Return a store with two versions; the first is current."""
    store.add(artifact.manifest, artifact.files)
    return store


def registry_of(store: Store, folder: Path | None = None, *versions: str) -> ModelRegistry:
    """Return the registry of one worker, which reads the store only on ``refresh``."""
    settings = Settings(
        model_store=store.folder,
        run_folder=folder,
        reload_seconds=3600,
        versions=versions or ("current",),
    )
    models = ModelRegistry(settings, Metrics())
    models.start()
    return models


@pytest.mark.parametrize("shared", [True, False])
def test_the_last_request_for_a_version_counts(tmp_path: Path, shared: bool) -> None:
    overrides = LoadOverrides(tmp_path if shared else None)
    assert overrides.read() == OverrideState()
    overrides.load("2")
    overrides.load("3")
    overrides.load("2")
    assert overrides.read() == OverrideState(loaded=("3", "2"))
    overrides.unload("2")
    assert overrides.read() == OverrideState(loaded=("3",), unloaded=("2",))
    overrides.unload("")
    assert overrides.read().unload_all
    overrides.load("2")
    assert overrides.read() == OverrideState(loaded=("3", "2"))
    overrides.unload("3")
    assert overrides.read() == OverrideState(loaded=("2",), unloaded=("3",))


def test_requests_are_shared_and_cleared(tmp_path: Path) -> None:
    first, second = LoadOverrides(tmp_path), LoadOverrides(tmp_path)
    first.unload("")
    assert second.read().unload_all
    second.clear()
    assert first.read() == OverrideState()
    second.clear()


def test_another_worker_follows(two_versions: Store, tmp_path: Path) -> None:
    first, second = registry_of(two_versions, tmp_path), registry_of(two_versions, tmp_path)
    first.load("2")
    with pytest.raises(UnknownVersion):
        second.get("2")
    second.refresh()
    assert second.get("2").version == "2" and second.get().version == "1"
    second.unload("2")
    first.refresh()
    with pytest.raises(UnknownVersion):
        first.get("2")
    first.unload()
    second.refresh()
    for models in (first, second):
        with pytest.raises(NotReady, match="was unloaded"):
            models.get()
    second.load()
    first.refresh()
    assert first.get().version == second.get().version == "1"
    assert registry_of(two_versions, tmp_path).get().version == "1", "a worker that starts later"


def test_an_unloaded_version_of_the_settings_stays_unloaded(two_versions: Store) -> None:
    models = registry_of(two_versions, None, "all")
    assert set(models.snapshot.loaded) == {"1", "2"}
    models.unload("2")
    models.refresh()
    assert set(models.snapshot.loaded) == {"1"}
    models.load("2")
    assert set(models.snapshot.loaded) == {"1", "2"}


def test_the_current_version_cannot_be_unloaded(two_versions: Store) -> None:
    models = registry_of(two_versions)
    with pytest.raises(ApiError, match="version 1 is the current version"):
        models.unload("1")
    models.load("2")
    two_versions.promote("2")
    models.refresh()
    models.unload("1")
    assert set(models.snapshot.loaded) == {"2"}
    two_versions.promote("1")
    models.refresh()
    assert models.get().version == "1", "a promoted version serves, even if it was unloaded before"


def test_a_version_that_cannot_be_loaded_is_not_requested_from_other_workers(
    two_versions: Store, tmp_path: Path
) -> None:
    models = registry_of(two_versions, tmp_path)
    models.unload()
    graph = two_versions.path("2") / "model.onnx"
    graph.write_bytes(b"?")
    with pytest.raises(NotReady, match=r"version 2: model\.onnx does not match"):
        models.load("2")
    with pytest.raises(UnknownVersion, match="the versions are: 1, 2"):
        models.load("9")
    with pytest.raises(UnknownVersion):
        models.unload("9")
    assert LoadOverrides(tmp_path).read() == OverrideState(unload_all=True), (
        "a failed load must not end an unload"
    )
    models.load()
    assert models.failure is None and models.get().version == "1"


def test_requests_that_cannot_be_written(two_versions: Store, tmp_path: Path) -> None:
    models = registry_of(two_versions, tmp_path / "gone")
    for request in (models.load, models.unload):
        with pytest.raises(NotReady, match="cannot be read or written"):
            request()
    assert models.get().version == "1"


def test_the_folder_of_a_single_version_has_its_number(two_versions: Store, tmp_path: Path) -> None:
    two_versions.path("2").rename(tmp_path / "model")
    models = registry_of(Store(tmp_path / "model"))
    assert models.get() is models.get("2")
