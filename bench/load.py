"""A load generator: keep-alive connections that send one request each and wait for its answer."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Load:
    """What one round measured.

    Attributes:
        per_second: answers a second.
        p50_ms, p99_ms: latency.
    """

    per_second: float
    p50_ms: float
    p99_ms: float


def measure(port: int, body: bytes, *, seconds: float, connections: int = 8) -> Load:
    """Send one body over and over.

    Raises:
        RuntimeError: an answer was not 200, or not like the first one in length.
    """
    request = (
        b"POST /predict HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body
    size = _answer_size(port, request)
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    sent: dict[socket.socket, float] = {}
    got: dict[socket.socket, int] = {}
    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client, selectors.EVENT_READ, data=client)
        sent[client], got[client] = time.perf_counter(), 0
        client.sendall(request)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for key, _ in selector.select(1.0):
            client = key.data
            data = client.recv(1 << 20)
            if not data or (not got[client] and not data.startswith(b"HTTP/1.1 200")):
                raise RuntimeError("an answer was not 200")
            got[client] += len(data)
            if got[client] > size:
                raise RuntimeError("an answer was longer than the first one")
            if got[client] == size:
                now = time.perf_counter()
                latencies.append(now - sent[client])
                sent[client], got[client] = now, 0
                client.sendall(request)
    elapsed = time.perf_counter() - start
    for client in sent:
        client.close()
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
    return Load(len(latencies) / elapsed, float(p50), float(p99))


def _answer_size(port: int, request: bytes) -> int:
    """Bytes of one answer, headers included."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(1 << 16)
    head, _, _ = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    return len(head) + 4 + length
