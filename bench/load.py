"""A closed-loop load generator over keep-alive connections.

A connection sends its next request after it has received the response to the last one. A server
that stalls therefore receives fewer requests while it stalls, and its p99 is lower than clients
that do not wait would measure.
"""

from __future__ import annotations

import math
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

HOST = "127.0.0.1"
SILENT_SECONDS = 60.0
"""After so long without any data, the outstanding requests have failed."""

MAX_FAILURES = 1000
"""This number of failures ends a measurement: the server is not running any more."""


@dataclass(frozen=True)
class Load:
    """The measurements of one run of the load generator.

    Attributes:
        n_answers: responses with status 200 that arrived before the deadline.
        per_second: such responses per second.
        p50_ms: median latency, from before the request is sent until its response is complete.
        p99_ms: 99th percentile of the latency.
        failures: number of failures by kind: ``status 503``, ``closed``, ``silent``.
        n_connects: connections made; more than there are clients if the server closes some.
        busy: fraction of a core that the load generator used; near 1 it is the bottleneck.
    """

    n_answers: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failures: dict[str, int]
    n_connects: int
    busy: float


def post(path: str, body: bytes) -> bytes:
    """Return the bytes of a POST request with a JSON body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure(port: int, request: bytes, *, seconds: float, connections: int = 8) -> Load:
    """Send a request repeatedly for some time.

    Raises:
        RuntimeError: a response had another status than 200 or was incomplete, or none arrived.
    """
    load = drive(port, request, seconds=seconds, connections=connections)
    if load.failures:
        raise RuntimeError(", ".join(f"{n} x {kind}" for kind, n in load.failures.items()))
    if not load.n_answers:
        raise RuntimeError(f"no response within {seconds:g} s")
    return load


def drive(
    port: int,
    request: bytes,
    *,
    seconds: float | None = None,
    n_requests: int | None = None,
    connections: int = 8,
) -> Load:
    """Send a request repeatedly, for some time or a number of times, and count failures.

    At the end, outstanding responses are awaited, so the next round starts with an idle server.
    They are not counted if they arrive after ``seconds``.

    Args:
        port: port of the server on the loopback interface.
        request: the bytes of the request.
        seconds: time limit; None for none.
        n_requests: number of requests; None for no limit.
        connections: number of keep-alive connections.
    """
    clients = [_Client(port) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    failures: Counter[str] = Counter()
    n_sent = n_outstanding = 0
    start, cpu = time.perf_counter(), time.process_time()
    deadline = math.inf if seconds is None else start + seconds
    limit = math.inf if n_requests is None else n_requests

    idle = list(clients)
    while failures.total() < MAX_FAILURES:
        still_idle = []
        for client in idle:
            if n_sent >= limit or time.perf_counter() >= deadline:
                break
            n_sent += 1
            try:
                if client.send(request):
                    selector.register(client.socket, selectors.EVENT_READ, client)
                n_outstanding += 1
            except OSError:
                failures["closed"] += 1
                _disconnect(client, selector)
                still_idle.append(client)
        idle = still_idle
        if not n_outstanding and not idle:
            break
        ready = selector.select(0.01 if idle else SILENT_SECONDS)
        if not ready and not idle:
            failures["silent"] += n_outstanding
            break
        for key, _ in ready:
            client = key.data
            status = client.receive()
            if status is None:
                continue
            now = time.perf_counter()
            n_outstanding -= 1
            if status != 200:
                failures[f"status {status}" if status else "closed"] += 1
            elif now < deadline:
                latencies.append(now - client.sent)
            if status != 200 or client.closing:
                _disconnect(client, selector)
            idle.append(client)
    end = min(time.perf_counter(), deadline)
    busy = (time.process_time() - cpu) / (time.perf_counter() - start)
    for client in clients:
        _disconnect(client, selector)
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3 if latencies else (np.nan, np.nan)
    return Load(
        n_answers=len(latencies),
        per_second=len(latencies) / (end - start),
        p50_ms=float(p50),
        p99_ms=float(p99),
        failures=dict(failures),
        n_connects=sum(client.n_connects for client in clients),
        busy=busy,
    )


def _disconnect(client: _Client, selector: selectors.BaseSelector) -> None:
    """Close a client's connection; its next request opens a new one."""
    if client.is_open:
        if client.socket in selector.get_map():
            selector.unregister(client.socket)
        client.close()


class _Client:
    """A keep-alive connection and the state of the response that it receives."""

    socket: socket.socket

    def __init__(self, port: int) -> None:
        self.is_open = False
        self.n_connects = 0
        self.sent = 0.0
        self.closing = False
        self._port = port
        self._reset()

    def _reset(self) -> None:
        """Forget the last response."""
        self._head = self._tail = b""
        self._status = 0
        self._missing = -1
        self._chunked = self.closing = False

    def send(self, request: bytes) -> bool:
        """Send a request; return True if that opened a new connection."""
        self.sent = time.perf_counter()
        self._reset()
        is_new = not self.is_open
        if is_new:
            self.socket = socket.create_connection((HOST, self._port), timeout=SILENT_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.is_open = True
            self.n_connects += 1
        self.socket.sendall(request)
        return is_new

    def receive(self) -> int | None:
        """Read the available data.

        Returns:
            The status once the response is complete, 0 if it cannot be completed, otherwise None.
        """
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            return 0
        if not data:
            return 0
        if not self._status:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return None
            self._read_head(head)
        if self._chunked:
            self._tail = (self._tail + data)[-5:]
            return self._status if self._tail == b"0\r\n\r\n" else None
        self._missing -= len(data)
        if self._missing < 0:  # more bytes than Content-Length: the next response cannot be found
            return 0
        return None if self._missing else self._status

    def close(self) -> None:
        self.socket.close()
        self.is_open = False

    def _read_head(self, head: bytes) -> None:
        """Read status, body length or chunked encoding, and ``Connection: close``."""
        line, _, rest = head.lower().partition(b"\r\n")
        self._status = int(line.split()[1])
        fields = b"\r\n" + rest + b"\r\n"
        at = fields.find(b"\r\ncontent-length:")
        if at >= 0:
            self._missing = int(fields[at + 17 : fields.index(b"\r\n", at + 17)])
        self._chunked = at < 0
        self.closing = b"\r\nconnection: close\r\n" in fields
