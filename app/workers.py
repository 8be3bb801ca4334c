"""gunicorn's workers, but that stopping loses nobody who has connected, and silence costs nothing.

A client is connected as soon as the kernel says so, before any worker has accepted it. gunicorn
closes the listening socket over such clients: they have sent their request and see a reset, and
behind a proxy every stop costs some of them a 502. Here a worker that stops accepts everybody who
waits, and closes the socket at once, so that whoever comes later is turned away and knows it.

A client that connects and sends nothing keeps gunicorn's one thread for five seconds. Here it holds no
thread, and is dropped.
"""

from __future__ import annotations

import selectors
import sys
import time
from functools import partial

from gunicorn.workers.gthread import TConn, ThreadWorker

FIRST_BYTE_S = 5.0
"""How long a new connection may be silent; gunicorn's thread waits as long."""


class Threads(ThreadWorker):
    """gunicorn's ``gthread``."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept or not; whoever waits when the worker stops is accepted still."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        # Whoever comes between the last look and the close is lost still: let it be microseconds,
        # and not the 5 ms that the other thread may keep the interpreter.
        sys.setswitchinterval(1e-6)
        for listener in self.sockets:
            n_before = -1
            while self.nr_conns != n_before:
                n_before = self.nr_conns
                self.accept(listener)
            listener.close()
        sys.setswitchinterval(0.005)

    def enqueue_req(self, conn: TConn) -> None:
        """Give a connection to the thread once there is something to read."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + FIRST_BYTE_S
        self.pending_conns.append(conn)
        on_readable = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, on_readable)

    def _cap_keepalive(self, deadline: float) -> None:
        """Called when the worker stops: close silent connections by then, also unused ones."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)
