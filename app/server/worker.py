"""Variant of gunicorn's ASGI worker with graceful shutdown and a timeout for silent clients.

It runs the same WSGI service as :mod:`app.server.single_thread_worker`. That worker is a separate
module because it does not need asyncio, which takes 4 MB. gunicorn's event loop never disconnects a
client that connects and sends nothing. This worker does so after a timeout.
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
"""Timeout in seconds for the headers of the first request, the same as in the proxy."""

CLOSE_TIMEOUT_S = 2.0
"""Timeout in seconds for the client's close after the server has shut down writing."""

CLOSE_NOTICE_S = 0.1
"""Seconds in which a stopping event loop sends "Connection: close" before it closes connections.

This is much longer than the time from sending a response to the decision to keep its connection.
"""


class AsgiWorker(gasgi.ASGIWorker):
    """An ``asgi`` worker with graceful shutdown."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections: set[Connection] = set()
        self.stopping = False

    def load_wsgi(self) -> None:
        """Load the WSGI service and wrap it in the ASGI adapter."""
        self.asgi = AsgiService(self.app.wsgi())

    def handle_exit_signal(self) -> None:
        """Send "Connection: close" with every response, and stop after a short delay.

        gunicorn would immediately close connections that were just kept alive, and lose the
        requests that are in transit on them.
        """
        self.stopping = True
        self.loop.call_later(CLOSE_NOTICE_S, super().handle_exit_signal)

    async def _shutdown(self) -> None:
        """Accept all pending connections, give idle ones two more seconds, and stop."""
        self.stopping, self.alive = True, False  # not yet set if the parent has died
        for listener in self.sockets:
            self.loop.remove_reader(listener.sock.fileno())
        await asyncio.sleep(0)  # let accepted sockets become connections first
        pending = [client for listener in self.sockets for client in drain_accept_queue(listener)]
        for server in self.servers:
            server.close()
        if pending:
            await self._connect_clients([client for client, _ in pending])
        for connection in self.connections:
            connection.close_if_idle()
        await super()._shutdown()

    async def _connect_clients(self, clients: list[socket.socket]) -> None:
        """Create connections for accepted sockets. A TLS handshake may fail."""
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
            task.exception()  # retrieve the error of a client, which needs no handling


class Parser(PythonProtocol):
    """A parser that passes body data on unchanged. gunicorn's parser copies it three times."""

    __slots__ = ()

    def feed(self, data: bytes) -> None:
        """Parse data that a client has sent."""
        if self._state == "body" and not self._buffer and len(data) < self._body_remaining:
            self._body_remaining -= len(data)
            self._on_body(data)
        else:
            super().feed(data)


class Connection(protocol.ASGIProtocol):
    """A connection of the event loop."""

    _closed: bool

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the timeout for request headers, which gunicorn omits for the first request."""
        super().connection_made(transport)
        self.worker.connections.add(self)
        if self._request_ready is not None:  # HTTP/1
            self._keepalive_handle = self.worker.loop.call_later(
                HEADER_TIMEOUT_S, self._keepalive_timeout
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the worker."""
        self.worker.connections.discard(self)
        super().connection_lost(exc)

    def _will_close(self, request: Any, response_requires_close: bool) -> bool:
        """Return whether the connection closes after the response, as its header states."""
        return self.worker.stopping or super()._will_close(request, response_requires_close)

    def _keepalive_timeout(self) -> None:
        """Close immediately, because no request is in progress."""
        super()._close_transport()
        super()._keepalive_timeout()

    def _close_transport(self) -> None:
        """Shut down writing and wait for the client to close, so that it gets the full response.

        Closing a socket with unread bytes resets the connection (RFC 9112, section 9.6).
        """
        receiver = self._body_receiver
        complete = receiver is not None and receiver._complete and not self._awaiting_request
        if self._closed or complete or not self.transport.can_write_eof():
            super()._close_transport()
            return
        self._closed = True
        try:
            self.transport.write_eof()
        except OSError:  # the client has disconnected
            self.transport.close()
            return
        self._resume_reading()
        self.worker.loop.call_later(CLOSE_TIMEOUT_S, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Ignore data received after the close."""
        if not self._closed:
            super().data_received(data)

    def close_if_idle(self) -> None:
        """Start the keep-alive timeout if no request is in progress."""
        if self._awaiting_request:
            self._arm_keepalive_timer()


# gunicorn looks up the classes of connections and parsers under these names.
gasgi.ASGIProtocol = Connection
protocol.PythonProtocol = Parser
