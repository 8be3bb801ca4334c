from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.artifacts import Store


def test_a_service_without_a_model_loads_the_first_promoted_one(
    store: Store, serve: Callable[..., Any], record: dict[str, Any]
) -> None:
    """A version is promoted while the server runs."""
    pointer = store.folder / "current.json"
    pointer.unlink()
    with serve(store.folder, RELOAD_SECONDS="0.1") as server:
        status, content = server.get("/readyz")
        assert status == 503 and "no version is current yet" in content["error"]
        store.promote("1")
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the first model")
        assert server.post("/predict", record)[1]["version"] == "1"
