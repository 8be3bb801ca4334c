from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from model.artifacts import CURRENT_FILE, MANIFEST_FILE, Artifact, Store
from model.errors import (
    ArtifactDamaged,
    NoCurrentVersion,
    NothingToRollBack,
    StoreError,
    UnknownVersion,
)


def add(store: Store, artifact: Artifact) -> str:
    return store.add(artifact.manifest, artifact.files).manifest.version


def test_versions_are_numbered_and_sorted_as_numbers(store: Store, artifact: Artifact) -> None:
    for expected in range(2, 12):
        assert add(store, artifact) == str(expected)
    assert store.versions() == [str(n) for n in range(1, 12)]
    assert store.current().version == "1", "a new version must not serve by itself"


def test_promote_and_roll_back(store: Store, artifact: Artifact) -> None:
    add(store, artifact)
    add(store, artifact)
    store.promote("3")
    store.promote("2")
    store.promote("2")
    assert store.current().previous == ("1", "3")
    assert store.rollback().version == "3"
    assert store.rollback().version == "1"
    with pytest.raises(NothingToRollBack, match="version 1 has no predecessor"):
        store.rollback()


def test_rolling_back_skips_a_version_that_was_removed(store: Store, artifact: Artifact) -> None:
    add(store, artifact)
    add(store, artifact)
    store.promote("2")
    store.promote("3")
    store.path("2").rename(store.folder / "removed")
    assert store.rollback().version == "1"


def test_a_copied_folder_is_not_another_version(store: Store) -> None:
    shutil.copytree(store.path("1"), store.folder / "2")
    with pytest.raises(ArtifactDamaged, match="version 2: its manifest belongs to version 1"):
        store.read("2")


def test_files_are_readable_by_other_users_regardless_of_the_umask(
    store: Store, artifact: Artifact
) -> None:
    previous_umask = os.umask(0o077)
    try:
        version = add(store, artifact)
        store.promote(version)
    finally:
        os.umask(previous_umask)
    for path in (store.folder / CURRENT_FILE, *store.path(version).iterdir()):
        assert path.stat().st_mode & 0o444 == 0o444
    assert store.path(version).stat().st_mode & 0o555 == 0o555


def test_an_unknown_version(store: Store) -> None:
    with pytest.raises(UnknownVersion, match="no version 9; available versions: 1"):
        store.promote("9")
    with pytest.raises(UnknownVersion):
        store.path("../cleveland/1")


def test_an_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert store.versions() == []
    with pytest.raises(NoCurrentVersion):
        store.current()


def test_a_damaged_pointer_is_reported_and_replaced_by_promoting(store: Store) -> None:
    (store.folder / CURRENT_FILE).write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        store.current()
    assert store.promote("1").version == "1"
    assert store.current().version == "1"


def test_the_folder_of_one_version_is_a_store(store: Store) -> None:
    """The name of the folder does not matter: SageMaker renames it to model."""
    folder = store.path("1")
    for name in ("1", "model"):
        folder = folder.rename(store.folder / name)
        single = Store(folder)
        assert single.current().version == "1" and single.versions() == ["1"]
        assert (single.path("1") / MANIFEST_FILE).is_file()
        assert single.read("1").manifest.version == "1"
        with pytest.raises(StoreError, match="single version"):
            single.promote("1")
    (folder / MANIFEST_FILE).write_text("{")
    assert Store(folder).versions() == ["model"], "the manifest no longer has a version"


def test_files_of_a_killed_writer_are_removed(store: Store, artifact: Artifact) -> None:
    (store.folder / ".writing-abc").mkdir()
    assert store.versions() == ["1"]
    add(store, artifact)
    assert not list(store.folder.glob(".writing-*"))
