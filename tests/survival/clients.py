"""Concurrent clients that record the outcomes of their requests during a failure."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Check = Callable[[dict[str, Any]], str | None]

REFUSED = "not connected"
"""No connection was made and nothing was sent. A client can always retry."""
KEPT_CLOSED = "kept connection closed"
"""A connection that had been used before was closed without a response.

HTTP cannot avoid this: a server may close an idle connection while a request is in transit.
"""
NEW_CLOSED = "new connection closed"
"""A new connection was closed without a response."""
CUT_OFF = "response cut off"
SILENT = "response timeout"
FAILURES = (REFUSED, KEPT_CLOSED, NEW_CLOSED, CUT_OFF, SILENT)


@dataclass
class Outcomes:
    """The outcomes of the requests of all clients.

    Attributes:
        answers: Number of responses by status.
        failures: Number of requests without a response by kind, see :data:`FAILURES`.
        ports: Client ports of the failed connections by kind of failure.
        failed_retries: Number of retries that failed.
        closing: Number of responses with ``Connection: close``.
        wrong: Number of wrong responses of status 200 by problem.
        versions: Number of responses by model version.
        latencies_s: Latencies of the responses in seconds.
    """

    answers: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    ports: dict[str, set[int]] = field(default_factory=dict)
    failed_retries: int = 0
    closing: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)

    @property
    def n_failures(self) -> int:
        """The number of requests without a response."""
        return sum(self.failures.values())

    def __str__(self) -> str:
        p50, p99 = np.percentile(self.latencies_s or [float("nan")], [50, 99]) * 1e3
        return (
            f"{sum(self.answers.values())} answers {dict(self.answers)}, p50 {p50:.1f} ms, "
            f"p99 {p99:.1f} ms, failures {dict(self.failures)}, wrong {dict(self.wrong)}, "
            f"versions {dict(self.versions)}"
        )

    def merged(self, other: Outcomes) -> Outcomes:
        """Return the sum of two sets of outcomes."""
        return Outcomes(
            self.answers + other.answers,
            self.failures + other.failures,
            {
                kind: self.ports.get(kind, set()) | other.ports.get(kind, set())
                for kind in {*self.ports, *other.ports}
            },
            self.failed_retries + other.failed_retries,
            self.closing + other.closing,
            self.wrong + other.wrong,
            self.versions + other.versions,
            self.latencies_s + other.latencies_s,
        )


class Clients:
    """Concurrent clients that send requests in a loop, each on its own connection.

    A client that gets no response retries the request on a new connection.

    Args:
        content: The content of the requests. None sends GET requests.
        check: A function that returns the problem in a response of status 200, or None.
        keep_alive: Whether a client reuses its connection.
        renewed_after: The number of requests after which a client reconnects in any case.
        until_refused: Whether a client stops when its connection is refused.
    """

    def __init__(
        self,
        address: str,
        content: Any,
        *,
        n_clients: int = 8,
        check: Check = lambda _: None,
        keep_alive: bool = True,
        pause_s: float = 0.0,
        path: str = "/predict",
        until_refused: bool = False,
        renewed_after: int = 1_000_000,
        timeout_s: float = 30,
    ) -> None:
        self.outcomes = Outcomes()
        self._host = address.removeprefix("http://")
        self._method = "GET" if content is None else "POST"
        self._path = path
        self._body = None if content is None else json.dumps(content).encode()
        self._check = check
        self._n_per_connection = renewed_after if keep_alive else 1
        self._pause_s = pause_s
        self._until_refused = until_refused
        self._timeout_s = timeout_s
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._clients = [threading.Thread(target=self._send_requests) for _ in range(n_clients)]

    @contextmanager
    def running(self) -> Iterator[Outcomes]:
        """Send requests until the block ends, and let requests in progress finish."""
        for client in self._clients:
            client.start()
        try:
            yield self.outcomes
        finally:
            self._stopped.set()
            for client in self._clients:
                client.join(60)

    def wait_for(self, n_answers: int) -> None:
        """Wait until the clients have received this many more responses."""
        goal = sum(self.outcomes.answers.values()) + n_answers
        for _ in range(6_000):
            if sum(self.outcomes.answers.values()) >= goal:
                return
            time.sleep(0.01)
        raise AssertionError(f"the clients get no more responses: {self.outcomes}")

    def _send_requests(self) -> None:
        connection: _Connection | None = None
        retrying = False
        while not self._stopped.is_set():
            start = time.perf_counter()
            failure, port = None, 0
            try:
                if connection is None:
                    connection = _Connection(self._host, self._timeout_s)
                status, body, closing = connection.exchange(self._method, self._path, self._body)
            except _Failed as error:
                failure, port = error.kind, error.port
            if failure is None:
                assert connection is not None
                self._count(status, body, closing, time.perf_counter() - start)
                retrying = False
                if closing or connection.n_before >= self._n_per_connection:
                    connection.close()
                    connection = None
                time.sleep(self._pause_s)
                continue
            with self._lock:
                self.outcomes.failures[failure] += 1
                self.outcomes.ports.setdefault(failure, set()).add(port)
                self.outcomes.failed_retries += retrying
            if connection is not None:
                connection.close()
                connection = None
            if failure == REFUSED and self._until_refused:
                return
            retrying = True
            time.sleep(0.02)
        if connection is not None:
            connection.close()

    def _count(self, status: int, body: bytes, closing: bool, seconds: float) -> None:
        content = json.loads(body)
        wrong = self._check(content) if status == 200 else None
        with self._lock:
            self.outcomes.answers[status] += 1
            self.outcomes.closing += closing
            self.outcomes.latencies_s.append(seconds)
            if status == 200 and "version" in content:
                self.outcomes.versions[content["version"]] += 1
            if wrong:
                self.outcomes.wrong[wrong] += 1


class _Failed(Exception):
    """A request without a response, with the kind of failure and the client's port."""

    def __init__(self, kind: str, port: int) -> None:
        super().__init__(kind)
        self.kind = kind
        self.port = port


class _Connection:
    """A connection that reports why a request got no response."""

    def __init__(self, host: str, timeout_s: float) -> None:
        self._http = http.client.HTTPConnection(host, timeout=timeout_s)
        self.n_before = 0
        try:
            self._http.connect()
        except OSError as error:
            raise _Failed(REFUSED, 0) from error
        self._port = int(self._http.sock.getsockname()[1])

    def exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes, bool]:
        """Return the status, the body and whether the server closes the connection."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        closed = KEPT_CLOSED if self.n_before else NEW_CLOSED
        try:
            # The server may have responded before it closed. The response can still be read.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._http.request(method, path, body, headers)
            response = self._http.getresponse()
            closed = CUT_OFF
            content = response.read()
        except TimeoutError as error:
            raise _Failed(SILENT, self._port) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Failed(closed, self._port) from error
        self.n_before += 1
        return response.status, content, response.will_close

    def close(self) -> None:
        self._http.close()


class SlowClients:
    """Many slow clients of several modes, run by one thread.

    A client of mode "silent" sends nothing. "headers" sends one byte of the headers per second,
    "body" sends the headers at once and one byte of the body per second. A client that is
    disconnected reconnects.
    """

    def __init__(
        self, address: str, n: int, modes: Sequence[str] = ("silent", "headers", "body")
    ) -> None:
        host, port = address.removeprefix("http://").split(":")
        self._address = (host, int(port))
        self._modes = [modes[i % len(modes)] for i in range(n)]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self.n_connected = 0
        self.n_dropped = 0
        self.n_refused = 0

    @contextmanager
    def dripping(self) -> Iterator[None]:
        """Run the clients until the block ends. It starts when each has tried to connect."""
        self._clients = [self._connect(i) for i in range(len(self._modes))]
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join(60)
            for client in self._clients:
                if client:
                    client.close()

    def __str__(self) -> str:
        n_now = sum(client is not None for client in self._clients)
        return (
            f"{n_now} of {len(self._modes)} slow clients connected at the end, {self.n_connected} "
            f"connections made, {self.n_dropped} dropped, {self.n_refused} refused"
        )

    def _connect(self, i: int) -> socket.socket | None:
        try:
            client = socket.create_connection(self._address, timeout=1)
        except OSError:
            self.n_refused += 1
            return None
        client.setblocking(False)
        self.n_connected += 1
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with contextlib.suppress(OSError):
            if self._modes[i] == "body":
                client.sendall(head + b"Content-Length: 1000\r\n\r\n[")
            elif self._modes[i] == "headers":
                client.sendall(head + b"X-Slow: ")
        return client

    def _drip(self) -> None:
        while not self._stopped.wait(1):
            for i, client in enumerate(self._clients):
                if self._stopped.is_set():
                    return
                if client is None or self._is_dropped(i, client):
                    if client is not None:
                        self.n_dropped += 1
                        client.close()
                    self._clients[i] = self._connect(i)

    def _is_dropped(self, i: int, client: socket.socket) -> bool:
        try:
            if self._modes[i] != "silent":
                client.send(b" " if self._modes[i] == "body" else b"a")
            client.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True  # a response or a close
