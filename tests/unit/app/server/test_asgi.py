"""The ASGI service: its responses to valid and invalid requests equal those of WSGI."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from app import Settings, create_app
from app.models.response_writer import PredictionWriter
from app.server.asgi import LARGE_BYTES, MAX_LARGE_BODIES, AsgiService
from model.artifacts import Store
from tests.unit.app.test_fast_path import requests

Response = tuple[int, dict[str, str], bytes]


def ask(
    app: AsgiService,
    body: bytes,
    headers: dict[str, str],
    *,
    path: str = "/predict",
    method: str = "POST",
    part: int = 1 << 20,
) -> Response:
    """Send a request like an ASGI server, with the body in parts."""
    header_pairs = [
        (name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()
    ]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": header_pairs,
        "scheme": "http",
        "http_version": "1.1",
        "server": ("x", 80),
    }
    parts = [body[i : i + part] for i in range(0, len(body), part)] or [b""]
    incoming = [
        {"type": "http.request", "body": piece, "more_body": i < len(parts)}
        for i, piece in enumerate(parts, start=1)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start, *content = sent
    response_headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return start["status"], response_headers, b"".join(m.get("body", b"") for m in content)


@pytest.mark.parametrize("part", [7, 1 << 20])
def test_responses_equal_those_of_wsgi(trained: Store, record: dict[str, Any], part: int) -> None:
    settings = Settings(model_store=trained.folder, max_body_bytes=15_000, max_records=20)
    service = create_app(settings)
    client, app = service.test_client(), AsgiService(service)
    for request in requests(record):
        headers = {"X-Request-ID": "same", **request["headers"]}
        if not all(value.isascii() for value in headers.values()):
            continue
        expected = client.post("/predict", data=request["data"], headers=headers)
        status, response_headers, body = ask(app, request["data"], headers, part=part)
        request_id = expected.headers["X-Request-ID"].encode()
        assert (status, body.replace(response_headers.pop("x-request-id").encode(), b"")) == (
            expected.status_code,
            expected.data.replace(request_id, b""),
        )
        if status == 413:
            response_headers.pop("connection", None)  # the rest of the body is not read
        expected_headers = {
            k.lower(): v for k, v in expected.headers.items() if k != "X-Request-ID"
        }
        assert response_headers == expected_headers


@pytest.mark.parametrize("more", [{}, {"interval": True}, {"explain": True}])
@pytest.mark.parametrize("first", [False, True])
def test_only_plain_predictions_run_in_the_event_loop(
    trained: Store,
    record: dict[str, Any],
    more: dict[str, bool],
    first: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, threads = PredictionWriter.write, []

    def write_and_record_thread(*arguments: Any) -> bytes:
        threads.append(threading.current_thread())
        return write(*arguments)

    monkeypatch.setattr(PredictionWriter, "write", write_and_record_thread)
    service = create_app(Settings(model_store=trained.folder))
    instances = {"instances": [record] * 50}
    content = {**more, **instances} if first else {**instances, **more}
    headers = {"content-type": "application/json"}
    status, _, _ = ask(AsgiService(service), json.dumps(content).encode(), headers)
    assert status == 200
    assert (threads == [threading.current_thread()]) == (not more)


@pytest.mark.parametrize("path", ["/readyz", "/schema", "/metrics", "/nope", "/problems/nöne"])
def test_other_routes_pass_through(trained: Store, path: str) -> None:
    service = create_app(Settings(model_store=trained.folder))
    expected = service.test_client().get(path)
    status, headers, _ = ask(AsgiService(service), b"", {}, path=path, method="GET")
    assert (status, headers["content-type"]) == (expected.status_code, expected.content_type)


def test_a_header_with_an_underscore_is_not_read_as_another(trained: Store) -> None:
    """Servers disagree about such spellings, which can bypass the access rules of a proxy."""
    app = AsgiService(create_app(Settings(model_store=trained.folder)))
    _, headers, _ = ask(app, b"", {"x_request_id": "mine"}, path="/healthz", method="GET")
    assert headers["x-request-id"] != "mine"


def test_a_client_that_disconnects_gets_no_response(trained: Store) -> None:
    app = AsgiService(create_app(Settings(model_store=trained.folder)))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert not sent


def test_the_number_of_large_bodies_read_at_once_is_limited(
    trained: Store, record: dict[str, Any]
) -> None:
    """Other large bodies wait and are not rejected; small bodies do not wait."""
    body = json.dumps(record).encode() + b" " * LARGE_BYTES
    app = AsgiService(create_app(Settings(model_store=trained.folder)))
    n_clients = 3 * MAX_LARGE_BODIES
    statuses: list[int] = []
    reading: set[int] = set()

    async def send_request(number: int, content: bytes, may_continue: asyncio.Event) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "query_string": b"",
            "headers": headers,
            "scheme": "http",
            "http_version": "1.1",
            "server": ("x", 80),
        }

        async def receive() -> Any:
            reading.add(number)
            await may_continue.wait()
            return {"type": "http.request", "body": content}

        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])

        await app(scope, receive, send)

    async def send_all() -> None:
        may_continue, always = asyncio.Event(), asyncio.Event()
        always.set()
        clients = [
            asyncio.create_task(send_request(n, body, may_continue)) for n in range(n_clients)
        ]
        await asyncio.sleep(0.1)
        assert len(reading) == MAX_LARGE_BODIES
        await send_request(n_clients, body.strip(), always)
        assert statuses == [200]
        may_continue.set()
        await asyncio.gather(*clients)

    asyncio.run(send_all())
    assert statuses == [200] * (n_clients + 1)
