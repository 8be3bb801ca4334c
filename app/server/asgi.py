"""The WSGI service behind ASGI's interface.

An event loop a worker reads requests, however slowly they come, and hands each to the WSGI service
once it is whole: hot routes at once, everything else in a thread, and in that thread too whatever asks
for explanations or intervals, so that explaining a hundred records holds up nobody. Guards, routes and
answers are the WSGI service's own.
"""

from __future__ import annotations

import asyncio
import io
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from app.service import Service
from model.records import OPTIONS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGE_BYTES = 256 * 1024
MAX_LARGE_BODIES = 8
"""How many bodies over :data:`LARGE_BYTES` a worker holds at once; further clients are not read from
until there is room. A hundred that send 8 MiB each would otherwise take 800 MB."""

_OPTION = re.compile(f'"(?:{"|".join(OPTIONS)})"'.encode())
_END_BYTES = 128


class AsgiService:
    """A WSGI service behind ASGI's interface."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._executor = ThreadPoolExecutor(1, "slow-path")
        self._large_bodies = asyncio.Semaphore(MAX_LARGE_BODIES)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or take part in the start and the end of the server."""
        if scope["type"] == "lifespan":
            await _handle_lifespan(receive, send)
        if scope["type"] != "http":
            return
        if _may_be_large(scope):
            async with self._large_bodies:
                await self._respond(scope, receive, send)
        else:
            await self._respond(scope, receive, send)

    async def _respond(self, scope: Message, receive: Receive, send: Send) -> None:
        """Read a request whole and answer it."""
        read = await self._read_body(receive)
        if read is None:
            return
        environ = _build_environ(scope, *read)
        if self.service.uses_fast_path(environ) and not _has_option(read[0]):
            start, content = self._call_wsgi(environ)
        else:
            loop = asyncio.get_running_loop()
            start, content = await loop.run_in_executor(self._executor, self._call_wsgi, environ)
        await send(start)
        await send({"type": "http.response.body", "body": content})

    def _call_wsgi(self, environ: dict[str, Any]) -> tuple[Message, bytes]:
        started: list[Message] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
            raw = [
                (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers
            ]
            started.append(
                {"type": "http.response.start", "status": int(status[:3]), "headers": raw}
            )

        chunks = self.service(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        return started[-1], content

    async def _read_body(self, receive: Receive) -> tuple[bytes, bool] | None:
        """The body, and whether that is all of it; None where the client has left.

        One that is too long is read to one byte more than is allowed, one whose client stops sending
        as far as it came.
        """
        limit = self.service.settings.max_body_bytes
        patience_s = self.service.settings.client_seconds
        parts: list[bytes] = []
        n_bytes = 0
        more = True
        try:
            async with asyncio.timeout(patience_s) as patience:
                while more and n_bytes <= limit:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    part = message.get("body", b"")
                    n_bytes += len(part)
                    parts.append(part)
                    more = message.get("more_body", False)
                    if more and not patience.expired():
                        patience.reschedule(asyncio.get_running_loop().time() + patience_s)
        except TimeoutError:
            pass
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return body[: limit + 1], not more or n_bytes > limit


async def _handle_lifespan(receive: Receive, send: Send) -> None:
    """ASGI's lifespan; the models are opened by the server's own hook."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _has_option(body: bytes) -> bool:
    """Whether a body seems to name an option, which stands before or behind its records.

    What it asks for is read later. A wrong guess changes where it is answered, and nothing else.
    """
    ends = body[:_END_BYTES] + body[-_END_BYTES:]
    return _OPTION.search(ends) is not None


def _may_be_large(scope: Message) -> bool:
    """Whether the body is long, or does not say how long it is."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return not value.isdigit() or int(value) > LARGE_BYTES
        if name == b"transfer-encoding":
            return True
    return False


def _build_environ(scope: Message, body: bytes, whole: bool) -> dict[str, Any]:
    """A request that has been read, as WSGI (PEP 3333) describes it.

    Of one that is not whole the length promises more than there is, as it did to the server.
    """
    host, port = scope.get("server") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode("utf-8").decode("latin-1"),
        "RAW_URI": quote(scope["path"]),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1")
        if "_" in name or name == "transfer-encoding":
            continue  # a name with _ would pass as one with -; chunks have been put together
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        value = raw_value.decode("latin-1")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    environ["CONTENT_LENGTH"] = str(len(body) + (not whole))
    return environ
