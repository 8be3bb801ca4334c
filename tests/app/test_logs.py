from __future__ import annotations

import json
import logging
import sys
from typing import Any

import msgspec
import pytest

from app.web import ServiceRequest, request_var
from app.web.logging_config import JsonFormatter, RateLimitFilter
from model.artifacts import Store

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def line(**changes: Any) -> dict[str, Any]:
    record = logging.makeLogRecord(
        {"name": "app.x", "levelname": "WARNING", "msg": "%s of %s", "args": (1, 2), **changes}
    )
    return json.loads(JsonFormatter().format(record))


def test_a_line_is_one_json_object() -> None:
    found = line()
    assert (found["level"], found["logger"], found["message"]) == ("warning", "app.x", "1 of 2")
    assert found["time"].endswith("+00:00")
    assert "request_id" not in found
    assert "\n" not in json.dumps(line(msg="a\nb", args=()))


def test_a_line_within_a_request_names_it() -> None:
    environ = {"HTTP_X_REQUEST_ID": "mine-1", "HTTP_TRACEPARENT": f"00-{TRACE}-{'1' * 16}-01"}
    request = ServiceRequest(environ, 0)
    request.route = "/predict"
    token = request_var.set(request)
    try:
        found = line()
    finally:
        request_var.reset(token)
    assert (found["request_id"], found["trace_id"], found["route"]) == ("mine-1", TRACE, "/predict")


def test_an_exception_is_shown_without_its_message() -> None:
    try:
        raise ValueError("MARKED" + str(8151815))
    except ValueError:
        found = line(exc_info=sys.exc_info())
    assert found["traceback"].endswith("ValueError") and "test_logs.py" in found["traceback"]
    assert "MARKED8151815" not in json.dumps(found)


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
    (refused,) = [entry for entry in parsed if "refused" in entry["message"]]
    assert content["instance"] == f"/requests/{refused['request_id']}"
    assert refused["route"] == "/predict"
    assert "MARKED8151815" not in server.output
    assert any("serving version 1" in entry["message"] for entry in parsed)


@pytest.mark.parametrize("form", ["json", "text"])
def test_both_forms_start(trained: Store, serve: Any, form: str) -> None:
    with serve(trained.folder, LOG_FORMAT=form) as server:
        assert server.get("/readyz")[0] == 200
        server.stop()
    assert ('"message":' in server.output) is (form == "json")
    assert "serving version 1" in server.output


def test_a_flood_of_lines_is_cut_down_and_errors_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("app.web.logging_config.time.monotonic", lambda: now)
    bounded = RateLimitFilter(per_second=3)

    def passed(level: int = logging.INFO, name: str = "app.web.errors") -> str | None:
        record = logging.LogRecord(name, level, "", 0, "refused: %s", ("x",), None)
        return record.getMessage() if bounded.filter(record) else None

    assert [passed() for _ in range(5)] == ["refused: x"] * 3 + [None] * 2
    assert passed(logging.ERROR) == "refused: x" == passed(name="app.models.registry")
    now = 101.0
    assert passed() == "refused: x; 2 lines left out"
    assert passed() == "refused: x"
