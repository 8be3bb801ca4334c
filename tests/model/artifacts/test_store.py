from __future__ import annotations

import multiprocessing
from pathlib import Path

from model.artifacts import Store
from tests.unit.model.artifacts.test_store import add


def _add_and_promote(folder: Path) -> None:
    store = Store(folder)
    artifact = store.read("1")
    for _ in range(20):
        store.promote(add(store, artifact))


def test_concurrent_writers_lose_no_version(store: Store) -> None:
    """Two processes add and promote versions while this one reads."""
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_add_and_promote, args=(store.folder,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert store.read(store.current().version), "the current version must always be complete"
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert store.versions() == [str(number) for number in range(1, 42)]
    current = store.current()
    promoted = sorted(map(int, (*current.previous, current.version)))
    assert promoted == list(range(1, 42)), "a promotion was lost"
