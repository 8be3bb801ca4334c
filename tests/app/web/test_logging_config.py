from __future__ import annotations

from typing import Any

import msgspec
import pytest

from model.artifacts import Store


def test_every_line_of_the_real_server_is_json(
    trained: Store, serve: Any, record: dict[str, Any]
) -> None:
    """The line of an error has the request ID, and no line has a value of a record."""
    with serve(trained.folder) as server:
        status, content = server.post("/predict", {**record, "thal": "MARKED8151815"})
        assert status == 422
        server.stop()
    lines = [text for text in server.output.splitlines() if text.startswith("{")]
    parsed = [msgspec.json.decode(text) for text in lines]
    (rejected,) = [entry for entry in parsed if entry.get("route") == "/predict"]
    assert content["instance"] == f"/requests/{rejected['request_id']}"
    assert "MARKED8151815" not in server.output
    assert any("version 1" in entry["message"] for entry in parsed)


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_both_formats(trained: Store, serve: Any, log_format: str) -> None:
    with serve(trained.folder, LOG_FORMAT=log_format) as server:
        assert server.get("/readyz")[0] == 200
        server.stop()
    assert ('"message":' in server.output) is (log_format == "json")
    assert "version 1" in server.output
