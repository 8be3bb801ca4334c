from __future__ import annotations

import multiprocessing
from pathlib import Path

from model.artifacts import Store
from tests.unit.model.test_store import add


def _add_often(folder: Path) -> None:
    store = Store(folder)
    artifact = store.read("1")
    for _ in range(20):
        store.promote(add(store, artifact))


def test_writers_do_not_get_into_each_others_way(store: Store) -> None:
    """Two processes that add and promote, and a reader between them."""
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_add_often, args=(store.folder,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert store.read(store.current().version), "what is current must always be whole"
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert store.versions() == [str(number) for number in range(1, 42)]
    now = store.current()
    assert sorted(map(int, (*now.previous, now.version))) == list(range(1, 42)), "one was lost"
