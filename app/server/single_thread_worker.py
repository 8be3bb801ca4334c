"""Single-threaded variant of gunicorn's ``gthread`` worker with graceful shutdown.

gunicorn polls in one thread and responds in others. With two threads each request is passed from
one to the other. When ONNX Runtime releases the GIL, the wrong thread often acquires it, which
takes a third of the time. In this worker the polling thread also responds.

The kernel completes a connection before a worker accepts it. gunicorn closes the listening socket
while such connections are pending. Their clients have sent a request and get a reset, which a
proxy turns into a 502. This worker accepts all pending connections when it stops, and then closes
the socket immediately. Later clients are refused.

In gunicorn a client that connects and sends nothing blocks a thread for five seconds, and a client
that does not close its connection after the response blocks it for two. Here the poller watches
both, and they are disconnected after a timeout.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from app.server.listening import drain_accept_queue

IDLE_TIMEOUT_S = 5.0
"""Timeout in seconds for the first bytes of a new connection and for the client's close."""


class SingleThreadWorker(ThreadWorker):
    """A ``gthread`` worker that responds in the polling thread, for any number of threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handling = self._stopped_accepting = False

    def enqueue_req(self, conn: TConn) -> None:
        """Respond to the request of a connection when it is readable."""
        if not (conn.initialized or conn.data_ready):
            self._wait_readable(conn, self.on_pending_socket_readable)
            return
        if self._handling:
            # A pipelined request. Defer it until the other connections have been handled.
            self.method_queue.defer(self.enqueue_req, conn)
            return
        self.notify()
        if not self.alive:
            # Before the first response with "Connection: close": its client reconnects at once.
            self.set_accept_enabled(False)
        self._handling = True
        try:
            keep = self.handle(conn)
            if keep:
                self.finish_request(conn, _CompletedFuture(keep))
            else:
                self._close(conn)
        finally:
            self._handling = False

    def _close(self, conn: TConn) -> None:
        """Shut down writing and wait for the client to close, so that it gets the full response.

        Closing a socket with unread bytes resets the connection (RFC 9112, section 9.6).
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client has disconnected
            self._discard(conn)
        else:
            self._wait_readable(conn, self._drain_until_closed)

    def _drain_until_closed(self, conn: TConn, _: socket.socket) -> None:
        """Read and discard the remaining bytes until the client closes."""
        try:
            if conn.sock.recv(1 << 16):
                return
        except OSError:
            pass
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)
        self._discard(conn)

    def _discard(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()

    def _wait_readable(self, conn: TConn, callback: Callable[[TConn, socket.socket], None]) -> None:
        """Call a function when the connection is readable; disconnect after a timeout."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + (IDLE_TIMEOUT_S if self.alive else STOP_KEEPALIVE_LINGER)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(callback, conn))

    def set_accept_enabled(self, enabled: bool) -> None:
        """Enable or disable accepting. A stopping worker first accepts all pending connections."""
        if self._stopped_accepting:
            return
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        self._stopped_accepting = True
        for listener in self.sockets:
            server_address = listener.getsockname()
            pending = drain_accept_queue(listener)
            listener.close()
            for client, address in pending:
                self.nr_conns += 1
                self.enqueue_req(TConn(self.cfg, client, address, server_address))

    def is_parent_alive(self) -> bool:
        """Return whether the parent lives, and start a graceful shutdown if it does not."""
        alive: bool = super().is_parent_alive()
        if not alive:
            self.alive = False
        return alive

    def accept(self, listener: Any) -> None:
        """Accept a client. Ignore events from before the worker stopped accepting."""
        if not self._stopped_accepting:
            super().accept(listener)

    def _cap_keepalive(self, deadline: float) -> None:
        """Limit the timeout of idle connections, also unused ones, when the worker stops."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)


class _CompletedFuture(NamedTuple):
    """The part of a future that :meth:`SingleThreadWorker.finish_request` uses."""

    keep: Any

    def result(self) -> Any:
        """Return whether to keep the connection."""
        return self.keep

    def cancelled(self) -> bool:
        """Return False, because the call has completed."""
        return False
