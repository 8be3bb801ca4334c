"""A load generator: keep-alive connections that send one request each and wait for its answer.

A closed loop: a connection sends its next request when it has the answer to the one before. A
server that stalls is therefore asked less while it stalls, and its p99 looks better than what
clients that do not wait would see.
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
"""A server that sends nothing at all for so long has failed its outstanding requests."""

MOST_FAILURES = 1000
"""So many failures end a measurement: the server is gone."""


@dataclass(frozen=True)
class Load:
    """What one round measured.

    Attributes:
        n_answers: answers 200 within the time, or of the number asked for.
        per_second: answers a second.
        p50_ms, p99_ms: latency, from before the request is sent until its answer is whole.
        failures: what went wrong, and how often: ``status 503``, ``closed``, ``silent``.
        n_connects: connections made; more than the clients where the server closes them.
        busy: share of its core that the load generator used; near 1 it measures itself.
    """

    n_answers: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failures: dict[str, int]
    n_connects: int
    busy: float


def post(path: str, body: bytes) -> bytes:
    """The bytes of one POST of JSON."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure(port: int, request: bytes, *, seconds: float, connections: int = 8) -> Load:
    """Send one request over and over for some time.

    Raises:
        RuntimeError: an answer was not 200, or not whole, or there was none at all.
    """
    load = drive(port, request, seconds=seconds, connections=connections)
    if load.failures:
        raise RuntimeError(", ".join(f"{n} x {what}" for what, n in load.failures.items()))
    if not load.n_answers:
        raise RuntimeError(f"no answer within {seconds:g} s")
    return load


def drive(
    port: int,
    request: bytes,
    *,
    seconds: float | None = None,
    n_requests: int | None = None,
    connections: int = 8,
) -> Load:
    """Send one request over and over, for some time or so many times, and count what fails.

    What is outstanding at the end is waited for, so that the next round finds an idle server; it
    counts where a number was asked for, and otherwise not.
    """
    clients = [_Client(port) for _ in range(connections)]
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    failures: Counter[str] = Counter()
    n_sent = n_outstanding = 0
    start, cpu = time.perf_counter(), time.process_time()
    deadline = math.inf if seconds is None else start + seconds
    n_wanted = math.inf if n_requests is None else n_requests

    idle = list(clients)
    while failures.total() < MOST_FAILURES:
        refused = []
        for client in idle:
            if n_sent >= n_wanted or time.perf_counter() >= deadline:
                break
            n_sent += 1
            try:
                if client.send(request):
                    selector.register(client.socket, selectors.EVENT_READ, client)
                n_outstanding += 1
            except OSError:
                failures["closed"] += 1
                _forget(client, selector)
                refused.append(client)
        idle = refused
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
                _forget(client, selector)
            idle.append(client)
    end = min(time.perf_counter(), deadline)
    busy = (time.process_time() - cpu) / (time.perf_counter() - start)
    for client in clients:
        _forget(client, selector)
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


def _forget(client: _Client, selector: selectors.BaseSelector) -> None:
    """Close a client's connection; its next request makes another."""
    if client.is_open:
        if client.socket in selector.get_map():
            selector.unregister(client.socket)
        client.close()


class _Client:
    """One keep-alive connection, and how much of an answer has come."""

    socket: socket.socket

    def __init__(self, port: int) -> None:
        self.is_open = False
        self.n_connects = 0
        self.sent = 0.0
        self.closing = False
        self._port = port
        self._expect()

    def _expect(self) -> None:
        """An answer is awaited of which nothing has come."""
        self._head = self._tail = b""
        self._status = 0
        self._missing = -1
        self._chunked = self.closing = False

    def send(self, request: bytes) -> bool:
        """Send a request; True where a connection had to be made for it."""
        self.sent = time.perf_counter()
        self._expect()
        new = not self.is_open
        if new:
            self.socket = socket.create_connection((HOST, self._port), timeout=SILENT_SECONDS)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.is_open = True
            self.n_connects += 1
        self.socket.sendall(request)
        return new

    def receive(self) -> int | None:
        """Take what has come: the status once the answer is whole, 0 if it never will be."""
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
        if self._missing < 0:  # more than it announced: what follows cannot be told apart
            return 0
        return None if self._missing else self._status

    def close(self) -> None:
        self.socket.close()
        self.is_open = False

    def _read_head(self, head: bytes) -> None:
        """Status, how many bytes follow or that chunks do, and whether the server will close."""
        line, _, rest = head.lower().partition(b"\r\n")
        self._status = int(line.split()[1])
        fields = b"\r\n" + rest + b"\r\n"
        at = fields.find(b"\r\ncontent-length:")
        if at >= 0:
            self._missing = int(fields[at + 17 : fields.index(b"\r\n", at + 17)])
        self._chunked = at < 0
        self.closing = b"\r\nconnection: close\r\n" in fields
