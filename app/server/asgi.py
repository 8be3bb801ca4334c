"""ASGI adapter for the WSGI service.

Each worker reads requests in one event loop, which also handles slow clients. A request is passed
to the WSGI service when its body is complete. Fast routes are called in the event loop. All other
routes, and requests for explanations or intervals, are called in a thread, because explaining a
hundred records would block the event loop. Guards, routes and responses are those of the WSGI
service.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Any

from app.service import Service
from model.records import OPTIONS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

LARGE_BYTES = 256 * 1024
MAX_LARGE_BODIES = 8
"""Number of bodies over :data:`LARGE_BYTES` that a worker holds at the same time.

Further clients are not read from until one of these is finished. Without the limit, a hundred
clients that send 8 MiB each would take 800 MB.
"""

CLOSE_TIMEOUT_S = 2.0
"""Timeout in seconds for a client to end a body that is not read any further."""

_CONSTANTS = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.input_terminated": True,
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}
"""The values of the WSGI environment that are the same for every request."""

_OPTION = re.compile(f'"(?:{"|".join(OPTIONS)})"'.encode())
_END_BYTES = 128


class AsgiService:
    """An ASGI application that calls a WSGI service.

    Attributes:
        stopping: whether to announce in each response that the connection closes.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.stopping = False
        self._executor = ThreadPoolExecutor(1, "slow-path")
        self._large_bodies = asyncio.Semaphore(MAX_LARGE_BODIES)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        if _may_be_large(scope):
            async with self._large_bodies:
                await self._respond(scope, receive, send)
        else:
            await self._respond(scope, receive, send)

    async def _respond(self, scope: Message, receive: Receive, send: Send) -> None:
        """Read a complete request and respond to it."""
        request = await self._read_body(receive)
        if request is None:
            return
        body, complete = request
        environ = _build_environ(scope, body, complete)
        if self.service.uses_fast_path(scope["method"], scope["path"]) and not _has_option(body):
            response = self.service.respond_fast(environ)
            start, content = _response_start(response.status, response.headers), response.body
        else:
            loop = asyncio.get_running_loop()
            start, content = await loop.run_in_executor(self._executor, self._call_wsgi, environ)
        if self.stopping or not complete:
            start["headers"].append((b"connection", b"close"))
        await send(start)
        await send({"type": "http.response.body", "body": content, "more_body": not complete})
        if not complete:
            await _discard_body(receive)
            await send({"type": "http.response.body"})

    def _call_wsgi(self, environ: dict[str, Any]) -> tuple[Message, bytes]:
        started: list[Message] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            started.append(_response_start(int(status[:3]), headers))

        chunks = self.service(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return started[-1], content

    async def _read_body(self, receive: Receive) -> tuple[bytes, bool] | None:
        """Return the body and whether it is complete, or None if the client has disconnected.

        A body that is too long is read up to one byte over the limit. If the client stops sending,
        the part received so far is returned.
        """
        limit = self.service.settings.max_body_bytes
        timeout_s = self.service.settings.client_seconds
        parts: list[bytes] = []
        n_bytes = 0
        more = True
        try:
            async with asyncio.timeout(timeout_s) as timeout:
                while more and n_bytes <= limit:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    part = message.get("body", b"")
                    n_bytes += len(part)
                    parts.append(part)
                    more = message.get("more_body", False)
                    if more and not timeout.expired():
                        timeout.reschedule(asyncio.get_running_loop().time() + timeout_s)
        except TimeoutError:
            pass
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return body[: limit + 1], not more


def _response_start(status: int, headers: Iterable[tuple[str, str]]) -> Message:
    """Return the ASGI message that starts a response."""
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


async def _discard_body(receive: Receive) -> None:
    """Read the rest of a body for a moment, so that the client gets the response.

    A connection that is closed with unread bytes is reset (RFC 9112, section 9.6).
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            while (await receive()).get("more_body"):
                pass


def _has_option(body: bytes) -> bool:
    """Return whether a body seems to contain an option, before or after its records.

    The option itself is parsed later. A wrong guess changes only the thread that responds.
    """
    ends = body[:_END_BYTES] + body[-_END_BYTES:]
    return _OPTION.search(ends) is not None


def _may_be_large(scope: Message) -> bool:
    """Return whether the body is over the limit or its length is unknown."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return not value.isdigit() or int(value) > LARGE_BYTES
        if name == b"transfer-encoding":
            return True
    return False


def _build_environ(scope: Message, body: bytes, complete: bool) -> dict[str, Any]:
    """Return the WSGI environment (PEP 3333) of a request that has been read.

    If the body is incomplete, CONTENT_LENGTH is larger than the body, as in the client's request.
    """
    host, port = scope.get("server") or ("", 0)
    environ: dict[str, Any] = {
        **_CONSTANTS,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
    }
    for name, raw_value in scope["headers"]:
        key = _environ_key(name)
        if key:
            value = raw_value.decode("latin-1")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ["CONTENT_LENGTH"] = str(len(body) + (not complete))
    return environ


@lru_cache(maxsize=256)
def _environ_key(name: bytes) -> str:
    """Return the key of a header in the WSGI environment; "" for a header that is left out.

    The chunks of a body are already joined. "_" and "-" would map to the same key.
    """
    if b"_" in name or name == b"transfer-encoding":
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
