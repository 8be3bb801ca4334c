"""The load generator against a server with scripted responses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from bench.load import Load, drive, measure, post

REQUEST = post("/predict", b'{"age": 54}')
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Script = Callable[[int], Iterable[bytes]]
"""From the number of a request to the pieces of its response."""


class ScriptedServer:
    """A server that sends the pieces of a script; with ``hang_up`` it closes after a response."""

    def __init__(self, script: Script, *, hang_up: bool) -> None:
        self.requests: list[bytes] = []
        self._script, self._hang_up = script, hang_up
        self._counting = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            while True:
                received = b""
                while len(received) < len(REQUEST):
                    if not (data := client.recv(len(REQUEST) - len(received))):
                        return
                    received += data
                with self._counting:
                    number = len(self.requests)
                    self.requests.append(received)
                for piece in self._script(number):
                    client.sendall(piece)
                if self._hang_up:
                    return


@contextmanager
def scripted(script: Script, *, hang_up: bool = False) -> Iterator[ScriptedServer]:
    server = ScriptedServer(script, hang_up=hang_up)
    try:
        yield server
    finally:
        server.close()


def drive_many(
    script: Script, n: int = 400, *, hang_up: bool = False
) -> tuple[Load, ScriptedServer]:
    with scripted(script, hang_up=hang_up) as server:
        return drive(server.port, REQUEST, n_requests=n, connections=4), server


def test_it_sends_the_number_of_requests_and_counts_every_response() -> None:
    load, server = drive_many(lambda _: [GOOD])
    assert len(server.requests) == load.n_answers == 400
    assert set(server.requests) == {REQUEST}
    assert load.failures == {}
    assert load.n_connects == 4, "connections are kept"
    assert 0 < load.p50_ms <= load.p99_ms
    assert load.per_second > 0


def test_with_a_time_limit_it_counts_responses_before_the_deadline() -> None:
    with scripted(lambda _: [GOOD]) as server:
        load = measure(server.port, REQUEST, seconds=0.3, connections=4)
    assert load.n_answers <= len(server.requests) <= load.n_answers + 4
    assert load.per_second == pytest.approx(load.n_answers / 0.3, rel=0.2)


def test_responses_after_the_deadline_are_awaited_and_not_counted() -> None:
    pause = threading.Event()

    def first_four_immediately(number: int) -> Iterator[bytes]:
        if number >= 4:
            pause.wait(1.0)
        yield GOOD

    with scripted(first_four_immediately) as server:
        load = drive(server.port, REQUEST, seconds=0.3, connections=4)
    assert (load.n_answers, load.failures, len(server.requests)) == (4, {}, 8)
    assert load.per_second == pytest.approx(4 / 0.3)


@pytest.mark.parametrize(
    "pieces",
    [
        [GOOD[:5], GOOD[5:40], GOOD[40:-1], GOOD[-1:]],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"0\r\n", b"\r\n"],
        [GOOD.replace(b"Content-Length", b"content-length")],
    ],
)
def test_a_response_in_several_pieces_counts_once(pieces: list[bytes]) -> None:
    pause = threading.Event()

    def in_pieces(_: int) -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            pause.wait(0.002)

    load, server = drive_many(in_pieces, 100)
    assert (load.n_answers, len(server.requests), load.failures) == (100, 100, {})


def test_latency_includes_the_whole_response() -> None:
    pause = threading.Event()

    def slowly(_: int) -> Iterator[bytes]:
        yield GOOD[:-1]
        pause.wait(0.05)
        yield GOOD[-1:]

    load, _ = drive_many(slowly, 8)
    assert load.p50_ms > 45


def test_other_statuses_count_as_failures_and_measure_raises() -> None:
    unavailable = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

    def every_fourth(number: int) -> list[bytes]:
        return [GOOD if number % 4 else unavailable]

    load, _ = drive_many(every_fourth)
    assert load.failures == {"status 503": 100}
    assert load.n_answers == 300
    with scripted(every_fourth) as server, pytest.raises(RuntimeError, match="x status 503"):
        measure(server.port, REQUEST, seconds=0.1)


def test_it_reconnects_after_connection_close() -> None:
    closing = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    load, _ = drive_many(lambda _: [closing], hang_up=True)
    assert (load.n_answers, load.failures, load.n_connects) == (400, {}, 400)


def test_a_response_longer_than_its_content_length_is_a_failure() -> None:
    load, _ = drive_many(lambda _: [GOOD + b"x"], 20)
    assert (load.n_answers, load.failures) == (0, {"closed": 20})


@pytest.mark.parametrize("pieces", [[], [GOOD[:-1]], [GOOD[:10]]])
def test_an_incomplete_response_is_a_failure(pieces: list[bytes]) -> None:
    load, _ = drive_many(lambda _: pieces, 20, hang_up=True)
    assert (load.n_answers, load.failures) == (0, {"closed": 20})


def test_a_server_that_does_not_run_ends_the_measurement(free_port: int) -> None:
    load = drive(free_port, REQUEST, n_requests=5)
    assert (load.n_answers, load.failures) == (0, {"closed": 5})
    with pytest.raises(RuntimeError, match="x closed"):
        measure(free_port, REQUEST, seconds=0.1)
