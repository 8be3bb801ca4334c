from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.models import LoadOverrides
from model.artifacts import Store


def test_a_server_clears_the_requests_of_the_previous_one(
    trained: Store, tmp_path: Path, serve: Callable[..., Any]
) -> None:
    LoadOverrides(tmp_path).unload("")
    with serve(trained.folder, RUN_FOLDER=str(tmp_path)) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")


def _load_versions(folder: Path, start: int, barrier: Any) -> None:
    overrides = LoadOverrides(folder)
    barrier.wait()
    for number in range(start, start + 25):
        overrides.load(str(number))


def test_concurrent_requests_of_workers_are_not_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    workers = [
        context.Process(target=_load_versions, args=(tmp_path, start, barrier))
        for start in (0, 100, 200)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(LoadOverrides(tmp_path).read().loaded) == 75
