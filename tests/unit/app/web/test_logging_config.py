"""Log lines: JSON, request IDs, no values of records, a rate limit."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from app.web import ServiceRequest, request_var
from app.web.logging_config import JsonFormatter, RateLimitFilter

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def line(**changes: Any) -> dict[str, Any]:
    record = logging.makeLogRecord(
        {"name": "app.x", "levelname": "WARNING", "msg": "%s of %s", "args": (1, 2), **changes}
    )
    return json.loads(JsonFormatter().format(record))


def test_a_line_is_one_json_object() -> None:
    entry = line()
    assert (entry["level"], entry["logger"], entry["message"]) == ("warning", "app.x", "1 of 2")
    assert entry["time"].endswith("+00:00")
    assert "request_id" not in entry
    assert "\n" not in json.dumps(line(msg="a\nb", args=()))


def test_a_line_within_a_request_has_its_id() -> None:
    environ = {"HTTP_X_REQUEST_ID": "mine-1", "HTTP_TRACEPARENT": f"00-{TRACE}-{'1' * 16}-01"}
    request = ServiceRequest(environ, 0)
    request.route = "/predict"
    token = request_var.set(request)
    try:
        entry = line()
    finally:
        request_var.reset(token)
    assert (entry["request_id"], entry["trace_id"], entry["route"]) == ("mine-1", TRACE, "/predict")


def test_an_exception_is_logged_without_its_message() -> None:
    try:
        raise ValueError("MARKED" + str(8151815))
    except ValueError:
        entry = line(exc_info=sys.exc_info())
    assert (
        entry["traceback"].endswith("ValueError") and "test_logging_config.py" in entry["traceback"]
    )
    assert "MARKED8151815" not in json.dumps(entry)


def test_lines_over_the_rate_limit_are_suppressed_but_not_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("app.web.logging_config.time.monotonic", lambda: now)
    rate_limit = RateLimitFilter(per_second=3)

    def passed(level: int = logging.INFO, name: str = "app.errors") -> str | None:
        record = logging.LogRecord(name, level, "", 0, "Request rejected: %s", ("x",), None)
        return record.getMessage() if rate_limit.filter(record) else None

    assert [passed() for _ in range(5)] == ["Request rejected: x"] * 3 + [None] * 2
    assert passed(logging.ERROR) == "Request rejected: x" == passed(name="app.models")
    now = 101.0
    assert passed() == "Request rejected: x (2 lines suppressed)"
    assert passed() == "Request rejected: x"
