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
def two(store: Store, artifact: Artifact) -> Store:
    """A store with two versions, of which the first is current."""
    store.add(artifact.manifest, artifact.files)
    return store


def models_of(store: Store, folder: Path | None = None, *versions: str) -> ModelRegistry:
    """One worker, which looks at the store only when it is told to."""
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
def test_the_last_word_about_a_version_counts(tmp_path: Path, shared: bool) -> None:
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


def test_the_wishes_of_one_are_those_of_all_and_end_with_the_service(tmp_path: Path) -> None:
    one, other = LoadOverrides(tmp_path), LoadOverrides(tmp_path)
    one.unload("")
    assert other.read().unload_all
    other.clear()
    assert one.read() == OverrideState()
    other.clear()


def test_another_worker_follows(two: Store, tmp_path: Path) -> None:
    one, other = models_of(two, tmp_path), models_of(two, tmp_path)
    one.load("2")
    with pytest.raises(UnknownVersion):
        other.get("2")
    other.refresh()
    assert other.get("2").version == "2" and other.get().version == "1"
    other.unload("2")
    one.refresh()
    with pytest.raises(UnknownVersion):
        one.get("2")
    one.unload()
    other.refresh()
    for models in (one, other):
        with pytest.raises(NotReady, match="was unloaded"):
            models.get()
    other.load()
    one.refresh()
    assert one.get().version == other.get().version == "1"
    assert models_of(two, tmp_path).get().version == "1", "a worker that starts later"


def test_an_unloaded_version_of_the_settings_stays_away(two: Store) -> None:
    models = models_of(two, None, "all")
    assert set(models.snapshot.loaded) == {"1", "2"}
    models.unload("2")
    models.refresh()
    assert set(models.snapshot.loaded) == {"1"}
    models.load("2")
    assert set(models.snapshot.loaded) == {"1", "2"}


def test_the_current_version_is_not_taken_away(two: Store) -> None:
    models = models_of(two)
    with pytest.raises(ApiError, match="version 1 is the current version"):
        models.unload("1")
    models.load("2")
    two.promote("2")
    models.refresh()
    models.unload("1")
    assert set(models.snapshot.loaded) == {"2"}
    two.promote("1")
    models.refresh()
    assert models.get().version == "1", "what is promoted serves, whatever was unloaded before"


def test_a_version_that_cannot_be_opened_is_asked_of_nobody(two: Store, tmp_path: Path) -> None:
    models = models_of(two, tmp_path)
    models.unload()
    graph = two.path("2") / "model.onnx"
    graph.write_bytes(b"?")
    with pytest.raises(NotReady, match=r"version 2: model\.onnx is not the file"):
        models.load("2")
    with pytest.raises(UnknownVersion, match="the versions are: 1, 2"):
        models.load("9")
    with pytest.raises(UnknownVersion):
        models.unload("9")
    assert LoadOverrides(tmp_path).read() == OverrideState(unload_all=True), (
        "nor does it end an unload"
    )
    models.load()
    assert models.failure is None and models.get().version == "1"


def test_wishes_that_cannot_be_written(two: Store, tmp_path: Path) -> None:
    models = models_of(two, tmp_path / "gone")
    for ask in (models.load, models.unload):
        with pytest.raises(NotReady, match="cannot be read or written"):
            ask()
    assert models.get().version == "1"


def test_the_folder_of_one_version_goes_by_its_number_too(two: Store, tmp_path: Path) -> None:
    two.path("2").rename(tmp_path / "model")
    models = models_of(Store(tmp_path / "model"))
    assert models.get() is models.get("2")
