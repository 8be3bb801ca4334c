"""The ASGI road answers as the WSGI one does, for good requests and bad."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app import Settings, create_app
from app.asgi import AsgiService
from model.store import Store
from tests.app.test_two_roads import requests

Answer = tuple[int, dict[str, str], bytes]


def ask(
    app: AsgiService, body: bytes, headers: dict[str, str], *, path: str = "/predict",
    method: str = "POST", part: int = 1 << 20,
) -> Answer:  # fmt: skip
    """One request as an ASGI server hands it over, the body in parts."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http", "method": method, "path": path, "query_string": b"", "headers": raw,
        "scheme": "http", "http_version": "1.1", "server": ("x", 80),
    }  # fmt: skip
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
    start, content = sent
    found = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return start["status"], found, content["body"]


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
        kept = {k.lower(): v for k, v in wanted.headers.items() if k != "X-Request-ID"}
        assert found == kept


@pytest.mark.parametrize("path", ["/readyz", "/schema", "/metrics", "/nope", "/problems/nöne"])
def test_other_routes_pass_through(trained: Store, path: str) -> None:
    service = create_app(Settings(model_store=trained.folder))
    wanted = service.test_client().get(path)
    status, found, _ = ask(AsgiService(service), b"", {}, path=path, method="GET")
    assert (status, found["content-type"]) == (wanted.status_code, wanted.content_type)


def test_a_header_with_an_underscore_does_not_pass_for_another(trained: Store) -> None:
    """Servers agree on none of the ways to spell it, which is how a proxy's guards are passed by."""
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
