"""gunicorn's ``gthread`` worker, but with one thread, and that stopping loses nobody who has connected.

gunicorn polls in one thread and answers in others. With one other they hand each request to and fro,
and whenever ONNX Runtime lets go of the interpreter the wrong one takes it: a third of the time. Here
the thread that polls answers.

A client is connected as soon as the kernel says so, before any worker has accepted it. gunicorn
closes the listening socket over such clients: they have sent their request and see a reset, and
behind a proxy every stop costs some of them a 502. Here a worker that stops accepts everybody who
waits, and closes the socket at once, so that whoever comes later is turned away and knows it.

A client that connects and sends nothing would keep gunicorn's thread for five seconds, and one that
has its answer and does not close the connection for two. Here both are left to the poller, and dropped.
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
"""How long a new connection may be silent, and how long one may take to close."""


class SingleThreadWorker(ThreadWorker):
    """gunicorn's ``gthread``, whatever its number of threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._handling = self._stopped_accepting = False

    def enqueue_req(self, conn: TConn) -> None:
        """Answer a connection's request, once there is something to read."""
        if not (conn.initialized or conn.data_ready):
            self._wait_readable(conn, self.on_pending_socket_readable)
            return
        if self._handling:
            # The next request came with the last one; it waits until all others have had their turn.
            self.method_queue.defer(self.enqueue_req, conn)
            return
        self.notify()
        if not self.alive:
            # Before the first answer announces the close: its client connects anew at once.
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
        """Announce the end and wait for the client's, so that it gets all of its answer.

        A socket that is closed over unread bytes is reset (RFC 9112, section 9.6).
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:  # the client has gone
            self._discard(conn)
        else:
            self._wait_readable(conn, self._drain_until_closed)

    def _drain_until_closed(self, conn: TConn, _: socket.socket) -> None:
        """Read what is of no interest any more, until the client closes."""
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

    def _wait_readable(self, conn: TConn, then: Callable[[TConn, socket.socket], None]) -> None:
        """Have a function called once there is something to read; drop the client where not."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + (IDLE_TIMEOUT_S if self.alive else STOP_KEEPALIVE_LINGER)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(then, conn))

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept or not; whoever waits when the worker stops is accepted still, and nobody after."""
        if self._stopped_accepting:
            return
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        self._stopped_accepting = True
        for listener in self.sockets:
            own_address = listener.getsockname()
            waiting = drain_accept_queue(listener)
            listener.close()
            for client, address in waiting:
                self.nr_conns += 1
                self.enqueue_req(TConn(self.cfg, client, address, own_address))

    def is_parent_alive(self) -> bool:
        """A worker whose parent is gone stops like any other."""
        alive: bool = super().is_parent_alive()
        if not alive:
            self.alive = False
        return alive

    def accept(self, listener: Any) -> None:
        """Accept a client, also where the poller saw one before the worker stopped accepting."""
        if not self._stopped_accepting:
            super().accept(listener)

    def _cap_keepalive(self, deadline: float) -> None:
        """Called when the worker stops: close silent connections by then, also unused ones."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)


class _CompletedFuture(NamedTuple):
    """What :meth:`SingleThreadWorker.finish_request` looks at in a future."""

    keep: Any

    def result(self) -> Any:
        """Whether to keep the connection."""
        return self.keep

    def cancelled(self) -> bool:
        """It is done."""
        return False
