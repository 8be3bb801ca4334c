"""The ASGI road answers as the WSGI one does, for good requests and bad."""

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

Answer = tuple[int, dict[str, str], bytes]


def ask(
    app: AsgiService,
    body: bytes,
    headers: dict[str, str],
    *,
    path: str = "/predict",
    method: str = "POST",
    part: int = 1 << 20,
) -> Answer:
    """One request as an ASGI server hands it over, the body in parts."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": raw,
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
    found = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return start["status"], found, b"".join(message.get("body", b"") for message in content)


@pytest.mark.parametrize("part", [7, 1 << 20])
def test_answers_are_those_of_wsgi(trained: Store, record: dict[str, Any], part: int) -> None:
    settings = Settings(model_store=trained.folder, max_body_bytes=15_000, max_records=20)
    service = create_app(settings)
    client, app = service.test_client(), AsgiService(service)
    for asked in requests(record):
        headers = {"X-Request-ID": "same", **asked["headers"]}
        if not all(value.isascii() for value in headers.values()):
            continue
        wanted = client.post("/predict", data=asked["data"], headers=headers)
        status, found, body = ask(app, asked["data"], headers, part=part)
        instance = wanted.headers["X-Request-ID"].encode()
        assert (status, body.replace(found.pop("x-request-id").encode(), b"")) == (
            wanted.status_code,
            wanted.data.replace(instance, b""),
        )
        if status == 413:
            found.pop("connection", None)  # the rest of the body is not read
        kept = {k.lower(): v for k, v in wanted.headers.items() if k != "X-Request-ID"}
        assert found == kept


@pytest.mark.parametrize("more", [{}, {"interval": True}, {"explain": True}])
@pytest.mark.parametrize("first", [False, True])
def test_only_plain_predictions_hold_the_event_loop(
    trained: Store,
    record: dict[str, Any],
    more: dict[str, bool],
    first: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, answered_in = PredictionWriter.write, []

    def noting_where(*given: Any) -> bytes:
        answered_in.append(threading.current_thread())
        return write(*given)

    monkeypatch.setattr(PredictionWriter, "write", noting_where)
    service = create_app(Settings(model_store=trained.folder))
    instances = {"instances": [record] * 50}
    content = {**more, **instances} if first else {**instances, **more}
    headers = {"content-type": "application/json"}
    status, _, _ = ask(AsgiService(service), json.dumps(content).encode(), headers)
    assert status == 200
    assert (answered_in == [threading.current_thread()]) == (not more)


@pytest.mark.parametrize("path", ["/readyz", "/schema", "/metrics", "/nope", "/problems/nöne"])
def test_other_routes_pass_through(trained: Store, path: str) -> None:
    service = create_app(Settings(model_store=trained.folder))
    wanted = service.test_client().get(path)
    status, found, _ = ask(AsgiService(service), b"", {}, path=path, method="GET")
    assert (status, found["content-type"]) == (wanted.status_code, wanted.content_type)


def test_a_header_with_an_underscore_does_not_pass_for_another(trained: Store) -> None:
    """Servers disagree about such spellings, which can bypass the access rules of a proxy."""
    app = AsgiService(create_app(Settings(model_store=trained.folder)))
    _, found, _ = ask(app, b"", {"x_request_id": "mine"}, path="/healthz", method="GET")
    assert found["x-request-id"] != "mine"


def test_a_client_that_leaves_gets_no_answer(trained: Store) -> None:
    app = AsgiService(create_app(Settings(model_store=trained.folder)))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert not sent


def test_only_so_many_large_bodies_are_read_at_once(trained: Store, record: dict[str, Any]) -> None:
    """The others wait unread, and nobody is turned away; small ones do not wait for them."""
    body = json.dumps(record).encode() + b" " * LARGE_BYTES
    app = AsgiService(create_app(Settings(model_store=trained.folder)))
    n_clients = 3 * MAX_LARGE_BODIES
    statuses: list[int] = []
    reading: set[int] = set()

    async def ask_for_one(number: int, content: bytes, go_on: asyncio.Event) -> None:
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
            await go_on.wait()
            return {"type": "http.request", "body": content}

        async def send(message: Any) -> None:
            if "status" in message:
                statuses.append(message["status"])

        await app(scope, receive, send)

    async def crowd() -> None:
        go_on, at_once = asyncio.Event(), asyncio.Event()
        at_once.set()
        clients = [asyncio.create_task(ask_for_one(n, body, go_on)) for n in range(n_clients)]
        await asyncio.sleep(0.1)
        assert len(reading) == MAX_LARGE_BODIES
        await ask_for_one(n_clients, body.strip(), at_once)
        assert statuses == [200]
        go_on.set()
        await asyncio.gather(*clients)

    asyncio.run(crowd())
    assert statuses == [200] * (n_clients + 1)
