"""HTTP connections: uvicorn's protocol with limits for clients that misbehave.

uvicorn limits neither the size of headers nor the time in which a client sends its headers or
reads a response.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.server.asgi import AsgiApp, Message, Receive, Send

MAX_HEADER_BYTES = 64 * 1024
"""Maximum size of a request's path, query and headers together."""

_UPGRADE = re.compile(rb"(?<=\n)upgrade(?=:)", re.IGNORECASE)
_HEADERS_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + (
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """A connection, which passes every event on to uvicorn's protocol.

    Only uvicorn's parser knows where headers end. So :func:`with_limits` tells the connection when
    a request begins and ends, and finds it in the ``state`` of the ASGI scope.

    Args:
        config: uvicorn's configuration.
        server_state: the state that the connections of a server share.
        app_state: the state of the ASGI application.

    Attributes:
        header_timeout_s: seconds in which a client must send its headers, as in the proxy.
        write_timeout_s: seconds in which a client must read what was sent to it.
    """

    header_timeout_s = 10.0
    write_timeout_s = 30.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._state = {**app_state, "connection": self}
        self._http = HttpToolsProtocol(config, server_state, self._state, self._loop)
        self._in_request = False
        self._n_header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timeout for the headers of the first request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Unsent bytes start the write timeout. With 0, asyncio's TLS would always wait.
        transport.set_write_buffer_limits(high=1, low=0)
        self._http.connection_made(transport)
        self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timeouts, and break the reference cycle between state and connection."""
        for timer in (self._header_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        self._http.connection_lost(exc)
        self._state.clear()

    def data_received(self, data: bytes) -> None:
        """Pass data on, unless headers go on for too long.

        The header ``Upgrade`` is renamed: a server may ignore it (RFC 9110, section 7.8). Java's
        HttpClient sends it with every request, and httptools then drops the body.
        """
        if not self._in_request:
            if self._n_header_bytes > MAX_HEADER_BYTES:
                self._transport.write(_HEADERS_TOO_LARGE)
                self._transport.close()
                return
            self._n_header_bytes += len(data)
            if self._header_timer is None:
                self._start_header_timer()
            if b"pgrade:" in data or b"PGRADE:" in data:
                head, end, body = data.partition(b"\r\n\r\n")
                data = _UPGRADE.sub(b"x-upgrade", head) + end + body
        self._http.data_received(data)

    def eof_received(self) -> None:
        """Close the connection, because a client that sends no more has ended the request."""
        self._http.eof_received()

    def pause_writing(self) -> None:
        """Start the timeout for the client to read what was sent."""
        self._write_timer = self._loop.call_later(self.write_timeout_s, self._transport.abort)
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Stop the timeout, because the client has read everything."""
        if self._write_timer is not None:
            self._write_timer.cancel()
        self._http.resume_writing()

    def begin_request(self) -> None:
        """Stop the timeout for headers, because they are complete."""
        self._in_request = True
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def end_request(self) -> None:
        """Expect the headers of the next request. Until then uvicorn's keep-alive timeout runs."""
        self._in_request = False
        self._n_header_bytes = 0

    def _start_header_timer(self) -> None:
        self._header_timer = self._loop.call_later(self.header_timeout_s, self._transport.close)


def with_limits(app: AsgiApp) -> AsgiApp:
    """Return an ASGI application that rejects large headers and reports to the connection."""

    async def respond(scope: Message, receive: Receive, send: Send) -> None:
        connection: Connection = scope["state"]["connection"]
        connection.begin_request()
        try:
            if _n_header_bytes(scope) <= MAX_HEADER_BYTES:
                await app(scope, receive, send)
                return
            headers = [(b"content-length", b"0"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 431, "headers": headers})
            await send({"type": "http.response.body"})
        finally:
            connection.end_request()

    return respond


def _n_header_bytes(scope: Message) -> int:
    n_bytes = len(scope["raw_path"]) + len(scope["query_string"])
    for name, value in scope["headers"]:
        n_bytes += len(name) + len(value)
    return n_bytes
