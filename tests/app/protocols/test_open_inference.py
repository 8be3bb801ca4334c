from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.api_keys import new_entry
from model.artifacts import Store
from pipelines.data import Table


def test_all_workers_load_and_unload(
    trained: Store, table: Table, serve: Callable[..., Any]
) -> None:
    """Both workers load and unload, whichever receives the request."""
    import urllib.request

    key, entry = new_entry("operator", ["manage", "monitor"])

    def post(server: Any, path: str, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(server.address + path, b"", headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()

    with serve(trained.folder, WORKERS="2", API_KEYS=entry, RELOAD_SECONDS="0.2") as server:

        def statuses(n: int = 40) -> set[int]:
            return {server.get("/v2/health/ready")[0] for _ in range(n)}

        def workers() -> int:
            request = urllib.request.Request(
                server.address + "/metrics", headers={"X-API-Key": key}
            )
            with urllib.request.urlopen(request, timeout=10) as response:
                for line in response.read().decode().splitlines():
                    if line.startswith('tabular_model_workers{version="1"}'):
                        return int(float(line.split()[1]))
            return -1

        server.wait_until(lambda: workers() == 2, "two workers")
        assert statuses() == {200}
        path = "/v2/repository/models/cleveland/"
        assert post(server, path + "unload", **{"X-API-Key": key})[0] == 200
        server.wait_until(lambda: workers() == 0, "both to unload")
        assert statuses() == {503}
        assert post(server, path + "load", **{"X-API-Key": key})[0] == 200
        server.wait_until(lambda: workers() == 2, "both to load")
        assert statuses() == {200}
