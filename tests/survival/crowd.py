"""A crowd of clients that count what they see while something happens to the service."""

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
"""There was no connection, so that nothing was sent: a client may always try again."""
KEPT_CLOSED = "kept connection closed"
"""Not a byte came back on a connection that had been used before. HTTP cannot avoid it: a server
closes a connection that looks idle while the client's next request is on its way."""
NEW_CLOSED = "new connection closed"
"""Not a byte came back on a connection that was just made."""
CUT_OFF = "answer cut off"
SILENT = "no answer in time"
FAILURES = (REFUSED, KEPT_CLOSED, NEW_CLOSED, CUT_OFF, SILENT)


@dataclass
class Seen:
    """What the clients of a crowd saw.

    Attributes:
        answers: by status.
        failures: by what the client saw instead of an answer, see :data:`FAILURES`.
        ports: of the clients' ends of the connections that failed, by what was seen.
        failed_retries: requests that failed again when they were sent once more.
        closing: answers with ``Connection: close``.
        wrong: by what was wrong with an answer of status 200.
        versions: by the version that answered.
        latencies_s: of the answers.
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
        """Requests that got no answer at all."""
        return sum(self.failures.values())

    def __str__(self) -> str:
        p50, p99 = np.percentile(self.latencies_s or [float("nan")], [50, 99]) * 1e3
        return (
            f"{sum(self.answers.values())} answers {dict(self.answers)}, p50 {p50:.1f} ms, "
            f"p99 {p99:.1f} ms, failures {dict(self.failures)}, wrong {dict(self.wrong)}, "
            f"versions {dict(self.versions)}"
        )

    def merged(self, other: Seen) -> Seen:
        """What two crowds saw together."""
        return Seen(
            self.answers + other.answers,
            self.failures + other.failures,
            {
                what: self.ports.get(what, set()) | other.ports.get(what, set())
                for what in {*self.ports, *other.ports}
            },
            self.failed_retries + other.failed_retries,
            self.closing + other.closing,
            self.wrong + other.wrong,
            self.versions + other.versions,
            self.latencies_s + other.latencies_s,
        )


class Crowd:
    """Clients that ask one after the other, each on its own connection.

    A client that got no answer sends the same again on a new connection.

    Args:
        content: of the requests; None asks with GET.
        check: says what is wrong with an answer of status 200, or None.
        keep_alive: whether a client asks again on the same connection.
        renewed_after: requests after which a client connects anew all the same.
        until_refused: whether a client ends when there is nothing to connect to any more.
    """

    def __init__(
        self, address: str, content: Any, *, n_clients: int = 8, check: Check = lambda _: None,
        keep_alive: bool = True, pause_s: float = 0.0, path: str = "/predict",
        until_refused: bool = False, renewed_after: int = 1_000_000, timeout_s: float = 30,
    ) -> None:  # fmt: skip
        self.seen = Seen()
        self._host = address.removeprefix("http://")
        self._method = "GET" if content is None else "POST"
        self._path = path
        self._body = None if content is None else json.dumps(content).encode()
        self._check = check
        self._n_on_one = renewed_after if keep_alive else 1
        self._pause_s = pause_s
        self._until_refused = until_refused
        self._timeout_s = timeout_s
        self._stopped = threading.Event()
        self._counting = threading.Lock()
        self._clients = [threading.Thread(target=self._ask) for _ in range(n_clients)]

    @contextmanager
    def asking(self) -> Iterator[Seen]:
        """Ask for as long as the block lasts, and let every request under way end."""
        for client in self._clients:
            client.start()
        try:
            yield self.seen
        finally:
            self._stopped.set()
            for client in self._clients:
                client.join(60)

    def wait_for(self, n_answers: int) -> None:
        """Until the crowd has got so many more answers."""
        goal = sum(self.seen.answers.values()) + n_answers
        for _ in range(6_000):
            if sum(self.seen.answers.values()) >= goal:
                return
            time.sleep(0.01)
        raise AssertionError(f"the crowd got no answers any more: {self.seen}")

    def _ask(self) -> None:
        connection: _Connection | None = None
        again = False
        while not self._stopped.is_set():
            start = time.perf_counter()
            failure, port = None, 0
            try:
                if connection is None:
                    connection = _Connection(self._host, self._timeout_s)
                status, body, closing = connection.exchange(self._method, self._path, self._body)
            except _Failed as error:
                failure, port = error.what, error.port
            if failure is None:
                assert connection is not None
                self._count(status, body, closing, time.perf_counter() - start)
                again = False
                if closing or connection.n_before >= self._n_on_one:
                    connection.close()
                    connection = None
                time.sleep(self._pause_s)
                continue
            with self._counting:
                self.seen.failures[failure] += 1
                self.seen.ports.setdefault(failure, set()).add(port)
                self.seen.failed_retries += again
            if connection is not None:
                connection.close()
                connection = None
            if failure == REFUSED and self._until_refused:
                return
            again = True
            time.sleep(0.02)
        if connection is not None:
            connection.close()

    def _count(self, status: int, body: bytes, closing: bool, seconds: float) -> None:
        content = json.loads(body)
        wrong = self._check(content) if status == 200 else None
        with self._counting:
            self.seen.answers[status] += 1
            self.seen.closing += closing
            self.seen.latencies_s.append(seconds)
            if status == 200 and "version" in content:
                self.seen.versions[content["version"]] += 1
            if wrong:
                self.seen.wrong[wrong] += 1


class _Failed(Exception):
    """A request without an answer: what was seen, and the client's port."""

    def __init__(self, what: str, port: int) -> None:
        super().__init__(what)
        self.what = what
        self.port = port


class _Connection:
    """A connection that tells the ways in which a request can stay without an answer."""

    def __init__(self, host: str, timeout_s: float) -> None:
        self._http = http.client.HTTPConnection(host, timeout=timeout_s)
        self.n_before = 0
        try:
            self._http.connect()
        except OSError as error:
            raise _Failed(REFUSED, 0) from error
        self._port = int(self._http.sock.getsockname()[1])

    def exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes, bool]:
        """Status, body, and whether the server announced that it closes."""
        headers = {} if body is None else {"Content-Type": "application/json"}
        closed = KEPT_CLOSED if self.n_before else NEW_CLOSED
        try:
            # A server that closed may have answered before: what it sent can still be read.
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
    """Many clients that are slow in different ways, all driven by one thread.

    They take turns in being slow: one connects and is silent, one drips the headers, one sends the
    headers at once and drips the body, a byte each second. One that is dropped comes again.
    """

    def __init__(
        self, address: str, n: int, ways: Sequence[str] = ("silent", "headers", "body")
    ) -> None:
        host, port = address.removeprefix("http://").split(":")
        self._address = (host, int(port))
        self._ways = [ways[i % len(ways)] for i in range(n)]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self.n_connected = 0
        self.n_dropped = 0
        self.n_refused = 0

    @contextmanager
    def dripping(self) -> Iterator[None]:
        """Be slow for as long as the block lasts; it begins when each has tried to connect."""
        self._clients = [self._connect(i) for i in range(len(self._ways))]
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
            f"{n_now} of {len(self._ways)} slow clients connected at the end, {self.n_connected} "
            f"connections made, {self.n_dropped} dropped, {self.n_refused} not taken"
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
            if self._ways[i] == "body":
                client.sendall(head + b"Content-Length: 1000\r\n\r\n[")
            elif self._ways[i] == "headers":
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
            if self._ways[i] != "silent":
                client.send(b" " if self._ways[i] == "body" else b"a")
            client.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True  # answered, or closed
