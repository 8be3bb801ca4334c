from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.models import LoadOverrides
from model.artifacts import Store


def test_a_server_starts_without_the_wishes_of_the_one_before(
    trained: Store, tmp_path: Path, serve: Callable[..., Any]
) -> None:
    LoadOverrides(tmp_path).unload("")
    with serve(trained.folder, RUN_FOLDER=str(tmp_path)) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")


def _wish(folder: Path, start: int, together: Any) -> None:
    overrides = LoadOverrides(folder)
    together.wait()
    for number in range(start, start + 25):
        overrides.load(str(number))


def test_no_wish_is_lost_where_workers_ask_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    workers = [context.Process(target=_wish, args=(tmp_path, n, together)) for n in (0, 100, 200)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(LoadOverrides(tmp_path).read().loaded) == 75
