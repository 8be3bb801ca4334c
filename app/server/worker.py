"""gunicorn's ASGI worker, but that stopping loses nobody who has connected, and silence costs nothing.

It runs the same WSGI service as :mod:`app.server.single_thread_worker`, whose worker has a file of its own because it needs
no asyncio, which takes 4 MB. A client that connects and sends nothing stays with gunicorn's event loop
for good. Here it is dropped.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from gunicorn.asgi import protocol
from gunicorn.asgi.parser import PythonProtocol
from gunicorn.workers import gasgi

from app.server.asgi import AsgiService
from app.server.listening import drain_accept_queue

HEADER_TIMEOUT_S = 10.0
"""How long the event loop waits for the headers of a first request, as the proxy does."""

CLOSE_TIMEOUT_S = 2.0
"""How long a client may take to close, once it has been told that the server does."""

CLOSE_NOTICE_S = 0.1
"""How long a stopping event loop announces the close before it closes anything; far longer than
from the bytes of an answer to the look at whether its connection is kept."""


class AsgiWorker(gasgi.ASGIWorker):
    """gunicorn's ``asgi``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: set[Connection] = set()
        self.stopping = False

    def load_wsgi(self) -> None:
        """Put the service behind ASGI's interface."""
        self.asgi = AsgiService(self.app.wsgi())

    def handle_exit_signal(self) -> None:
        """Announce with every answer that the connection closes, and stop a moment later.

        gunicorn would close connections at once that have just been told to stay open, and with
        them the requests that are on their way.
        """
        self.stopping = True
        self.loop.call_later(CLOSE_NOTICE_S, super().handle_exit_signal)

    async def _shutdown(self) -> None:
        """Accept whoever waits, give silent connections a last two seconds, and stop."""
        self.stopping, self.alive = True, False  # nobody has said so where the parent is gone
        for listener in self.sockets:
            self.loop.remove_reader(listener.sock.fileno())
        await asyncio.sleep(0)  # what has been accepted becomes a connection while it still can
        waiting = [client for listener in self.sockets for client in drain_accept_queue(listener)]
        for server in self.servers:
            server.close()
        if waiting:
            await self._connect_clients([client for client, _ in waiting])
        for connection in self.connections:
            connection.close_if_idle()
        await super()._shutdown()

    async def _connect_clients(self, clients: list[socket.socket]) -> None:
        """Make connections of accepted clients; with TLS that takes a handshake, which may fail."""
        context = self._get_ssl_context()
        tasks = []
        for client in clients:
            client.setblocking(False)
            connect = self.loop.connect_accepted_socket(
                lambda: gasgi.ASGIProtocol(self), client, ssl=context
            )
            tasks.append(self.loop.create_task(connect))
        done, _ = await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT_S)
        for task in done:
            task.exception()  # the client's own affair


class Parser(PythonProtocol):
    """gunicorn's, which copies a body three times; what is all body goes on here as it came."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        """Take what a client has sent."""
        if self._state == "body" and not self._buffer and len(data) < self._body_remaining:
            self._body_remaining -= len(data)
            self._on_body(data)
        else:
            super().feed(data)


class Connection(protocol.ASGIProtocol):
    """A connection of the event loop."""

    _closed: bool

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Expect the headers of a request; gunicorn does so only after the first."""
        super().connection_made(transport)
        self.worker.connections.add(self)
        if self._request_ready is not None:  # HTTP/1
            self._keepalive_handle = self.worker.loop.call_later(
                HEADER_TIMEOUT_S, self._keepalive_timeout
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.worker.connections.discard(self)
        super().connection_lost(exc)

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        """Whether the answer announces that the connection closes, and it does."""
        return self.worker.stopping or super()._will_close(request, response_requires_close)

    def _keepalive_timeout(self) -> None:
        """Close at once: nothing is under way."""
        super()._close_transport()
        super()._keepalive_timeout()

    def _close_transport(self) -> None:
        """Announce the end and wait for the client's, so that it gets all of its answer.

        A socket that is closed over unread bytes is reset (RFC 9112, section 9.6).
        """
        receiver = self._body_receiver
        whole = receiver is not None and receiver._complete and not self._awaiting_request
        if self._closed or whole or not self.transport.can_write_eof():
            super()._close_transport()
            return
        self._closed = True
        try:
            self.transport.write_eof()
        except OSError:  # the client has gone
            self.transport.close()
            return
        self._resume_reading()
        self.worker.loop.call_later(CLOSE_TIMEOUT_S, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Take no notice of what comes after the end."""
        if not self._closed:
            super().data_received(data)

    def close_if_idle(self) -> None:
        """Close it after as long as a kept connection may be idle, unless a request comes."""
        if self._awaiting_request:
            self._arm_keepalive_timer()


# The worker makes its connections of what it finds under this name, and they their parsers.
gasgi.ASGIProtocol = Connection
protocol.PythonProtocol = Parser
