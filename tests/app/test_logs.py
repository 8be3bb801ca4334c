from __future__ import annotations

from typing import Any

import msgspec
import pytest

from model.artifacts import Store


def test_every_line_of_the_real_server_is_json(
    trained: Store, serve: Any, record: dict[str, Any]
) -> None:
    """And refusals can be followed by their id, while what the client sent is in none of them."""
    with serve(trained.folder) as server:
        status, content = server.post("/predict", {**record, "thal": "MARKED8151815"})
        assert status == 422
        server.stop()
    lines = [text for text in server.output.splitlines() if text.startswith("{")]
    parsed = [msgspec.json.decode(text) for text in lines]
    (refused,) = [entry for entry in parsed if entry.get("route") == "/predict"]
    assert content["instance"] == f"/requests/{refused['request_id']}"
    assert "MARKED8151815" not in server.output
    assert any("version 1" in entry["message"] for entry in parsed)


@pytest.mark.parametrize("form", ["json", "text"])
def test_both_forms_start(trained: Store, serve: Any, form: str) -> None:
    with serve(trained.folder, LOG_FORMAT=form) as server:
        assert server.get("/readyz")[0] == 200
        server.stop()
    assert ('"message":' in server.output) is (form == "json")
    assert "version 1" in server.output
