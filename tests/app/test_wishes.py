from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.wishes import WishList
from model.store import Store


def test_a_server_starts_without_the_wishes_of_the_one_before(
    trained: Store, tmp_path: Path, serve: Callable[..., Any]
) -> None:
    WishList(tmp_path).unload("")
    with serve(trained.folder, RUN_FOLDER=str(tmp_path)) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
