"""gunicorn's ``gthread`` worker, but with one thread, and that stopping loses nobody who has connected.

gunicorn polls in one thread and answers in others. With one other they hand each request to and fro,
and whenever ONNX Runtime lets go of the interpreter the wrong one takes it: a third of the time. Here
the thread that polls answers.

A client is connected as soon as the kernel says so, before any worker has accepted it. gunicorn
closes the listening socket over such clients: they have sent their request and see a reset, and
behind a proxy every stop costs some of them a 502. Here a worker that stops accepts everybody who
waits, and closes the socket at once, so that whoever comes later is turned away and knows it.

A client that connects and sends nothing would keep gunicorn's thread for five seconds. Here it is left
to the poller, and dropped.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from functools import partial
from typing import Any, NamedTuple

from gunicorn.workers.gthread import TConn, ThreadWorker

FIRST_BYTE_S = 5.0
"""How long a new connection may be silent; gunicorn's thread waits as long."""


class OneThread(ThreadWorker):
    """gunicorn's ``gthread``, whatever its number of threads."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ready: deque[TConn] = deque()

    def enqueue_req(self, conn: TConn) -> None:
        """Answer a connection's request, once there is something to read."""
        if not (conn.initialized or conn.data_ready):
            self._expect(conn)
            return
        self._ready.append(conn)
        if len(self._ready) > 1:
            return  # the loop below has brought it here: the next request came with the last one
        while self._ready:
            self.notify()
            self.finish_request(self._ready[0], _Done(self.handle(self._ready[0])))
            self._ready.popleft()

    def _expect(self, conn: TConn) -> None:
        """Wait for the first byte of a connection without keeping anybody else waiting."""
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + FIRST_BYTE_S
        self.pending_conns.append(conn)
        on_readable = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, on_readable)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept or not; whoever waits when the worker stops is accepted still."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            n_before = -1
            while self.nr_conns != n_before:
                n_before = self.nr_conns
                self.accept(listener)
            listener.close()

    def _cap_keepalive(self, deadline: float) -> None:
        """Called when the worker stops: close silent connections by then, also unused ones."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)


class _Done(NamedTuple):
    """What :meth:`OneThread.finish_request` looks at in a future."""

    keep: Any

    def result(self) -> Any:
        """Whether to keep the connection."""
        return self.keep

    def cancelled(self) -> bool:
        """It is done."""
        return False
