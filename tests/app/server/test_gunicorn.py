from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from app.api_keys import new_entry
from model.artifacts import Store
from tests.conftest import ROOT


def exchange(server: Any, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Send raw bytes, and read until the server responds or closes."""
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause_s)
        received = b""
        while b"\r\n\r\n" not in received:
            data = client.recv(65536)
            if not data:
                break
            received += data
        return received


def head(*headers: str) -> bytes:
    lines = ["POST /predict HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "".join(line + "\r\n" for line in lines).encode() + b"\r\n"


def test_the_printed_command_can_be_run(
    trained: Store, serve: Callable[..., Any], tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl, which is not on this machine")
    with serve(trained.folder) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        server.stop()
    assert f"serving on {server.address}" in server.output
    start = server.output.index("curl ")
    command = server.output[start : server.output.index("\n\n", start)]
    with serve(trained.folder):
        completed = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, check=True, cwd=tmp_path
        )
    (prediction,) = json.loads(completed.stdout)["predictions"]
    assert prediction["missing"] == prediction["warnings"] == []


def test_a_body_over_the_limit_is_refused_with_and_without_length(
    trained: Store, serve: Callable[..., Any], record: dict[str, Any]
) -> None:
    """Also in chunks: a body truncated at the limit may be valid."""
    body = json.dumps(record).encode() + b" " * 2_000
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    small = json.dumps(record).encode()
    with serve(trained.folder, MAX_BODY_BYTES="1000") as server:
        for request in (
            head(f"Content-Length: {len(body)}") + body,
            head("Transfer-Encoding: chunked") + chunked,
        ):
            assert exchange(server, request).startswith(b"HTTP/1.1 413")
        in_chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(small), small)
        answer = exchange(server, head("Transfer-Encoding: chunked") + in_chunks)
        assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("coding", ["Content-Length", "chunked"])
def test_a_long_body_is_read_completely(
    trained: Store, serve: Callable[..., Any], record: dict[str, Any], coding: str
) -> None:
    """Test every split of the bytes, with the next request in the last part or later."""
    records = [{**record, "age": 30 + row % 40} for row in range(4_000)]
    body, small = json.dumps(records).encode(), json.dumps(record).encode()
    if coding == "chunked":
        first = head("Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        first = head(f"Content-Length: {len(body)}") + body
    sent = first + head(f"Content-Length: {len(small)}") + small
    with serve(trained.folder) as server:
        by_age = {age: server.post("/predict", {**record, "age": age}) for age in range(30, 70)}
        ages = [row["age"] for row in records]
        expected = [by_age[age][1]["predictions"][0]["probability"] for age in ages]
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            for start in range(0, len(sent), 100_000):
                client.sendall(sent[start : start + 100_000])
            with client.makefile("rb") as answers:
                probabilities = [p["probability"] for p in next_answer(answers)["predictions"]]
                assert len(next_answer(answers)["predictions"]) == 1
                client.sendall(first)
                assert len(next_answer(answers)["predictions"]) == len(records)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def next_answer(answers: BinaryIO) -> Any:
    """Return the content of the next response of a connection."""
    assert answers.readline().startswith(b"HTTP/1.1 200")
    headers = dict(line.lower().split(b": ", 1) for line in iter(answers.readline, b"\r\n"))
    return json.loads(answers.read(int(headers[b"content-length"])))


def test_invalid_chunks_are_a_client_error(trained: Store, serve: Callable[..., Any]) -> None:
    with serve(trained.folder) as server:
        answer = exchange(server, head("Transfer-Encoding: chunked") + b'{"age": 1}\r\n')
        assert answer.startswith(b"HTTP/1.1 400")
        server.stop()
    assert "ERROR" not in server.output


def test_a_silent_client_does_not_block_the_worker(
    trained: Store, serve: Callable[..., Any]
) -> None:
    """Clients of one worker stop within a line, the headers or a body."""
    with serve(trained.folder, CLIENT_SECONDS="1") as server:
        host, port = server.address.removeprefix("http://").split(":")
        silent = []
        for part in (b"POST /pre", head("Content-Length: 50")[:-2], head("Content-Length: 50")):
            client = socket.create_connection((host, int(port)))
            client.sendall(part)
            silent.append(client)
        status, _ = server.get("/readyz")
        assert status == 200
        for client in silent:
            client.close()
        server.stop()
    assert "Traceback" not in server.output and "ERROR" not in server.output


def test_an_incomplete_body_gets_400(trained: Store, serve: Callable[..., Any]) -> None:
    """It is counted as an error of the client."""
    with serve(trained.folder, CLIENT_SECONDS="1") as server:
        answer = exchange(server, head("Content-Length: 50") + b"{")
        assert answer.startswith(b"HTTP/1.1 400")
        assert 'status="400"' in server.text("/metrics")


def test_a_client_that_does_not_close_does_not_block_the_worker(
    trained: Store, serve: Callable[..., Any]
) -> None:
    """It has received a response that announced the close."""
    with serve(trained.folder) as server, contextlib.ExitStack() as stack:
        host, port = server.address.removeprefix("http://").split(":")
        start = time.monotonic()
        for _ in range(20):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 200")
        assert time.monotonic() - start < 20, "each blocked it for two seconds"


def test_a_client_that_closes_late_gets_its_answer(
    trained: Store, serve: Callable[..., Any]
) -> None:
    """Bytes sent after the response must not reset the connection before it is read."""
    with serve(trained.folder, MAX_BODY_BYTES="1000") as server:
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(head("Content-Length: 20000000", "Connection: close"))
            for _ in range(20):
                client.sendall(b" " * 1_000_000)
                time.sleep(0.01)
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 413")


def test_no_value_appears_in_gunicorns_log(trained: Store, serve: Callable[..., Any]) -> None:
    """If the length is too short, the rest of a record looks like the next request."""
    rest = b'"MARKED8151815","age":8151815,"chol":815.1}'
    with serve(trained.folder, LOG_LEVEL="debug") as server:
        exchange(
            server, head("Content-Length: 2") + b"{}" + rest + b" / HTTP/1.1\r\n\r\n", pause_s=0.2
        )
        exchange(server, rest + b"\r\n\r\n")
        exchange(server, head("MARKED8151815 : 8151815"))
        exchange(server, head("Transfer-Encoding: chunked") + rest + b"\r\n")
        exchange(server, b"GET /MARKED8151815?age=8151815 HTTP/1.1\r\nHost: x\r\n\r\n")
        exchange(server, b"GET /" + b"MARKED8151815" * 1_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        server.stop()
    assert "8151815" not in server.output and "815.1" not in server.output


def test_sigterm_stops_it_cleanly_and_quickly(trained: Store, serve: Callable[..., Any]) -> None:
    with serve(trained.folder, WORKERS="2") as server:
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 20, "it hung until it was killed"
    assert "Traceback" not in server.output


def test_pending_connections_are_answered_after_sigterm(
    trained: Store, serve: Callable[..., Any], record: dict[str, Any]
) -> None:
    """No worker has accepted them when the service receives SIGTERM."""
    body = json.dumps(record).encode()
    with serve(trained.folder) as server, contextlib.ExitStack() as stack:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        host, port = server.address.removeprefix("http://").split(":")
        (worker,) = server.workers
        os.kill(worker, signal.SIGSTOP)
        clients = []
        for _ in range(5):
            client = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            client.sendall(head(f"Content-Length: {len(body)}") + body)
            clients.append(client)
        server.process.terminate()
        time.sleep(1.5)  # the worker has received the signal
        os.kill(worker, signal.SIGCONT)
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert server.process.wait(20) == 0


def test_silent_clients_do_not_delay_others(trained: Store, serve: Callable[..., Any]) -> None:
    """gunicorn's own worker waits five seconds for each."""
    with serve(trained.folder) as server, contextlib.ExitStack() as stack:
        host, port = server.address.removeprefix("http://").split(":")
        silent = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            for _ in range(5)
        ]
        start = time.monotonic()
        assert server.get("/healthz")[0] == 200
        assert time.monotonic() - start < 20
        assert [client.recv(1) for client in silent] == [b""] * 5, "they are dropped in the end"


def test_a_starting_worker_stops_too(
    trained: Store, serve: Callable[..., Any], tmp_path: Path
) -> None:
    """The second gets the signal after the fork, before it has set its signal handlers."""
    slow = tmp_path / "slow.conf.py"
    slow.write_text(
        "import time\n"
        f"exec(open({str(ROOT / 'app/gunicorn.conf.py')!r}).read())\n"
        "at_once = post_fork\n"
        "def post_fork(server, worker):\n"
        "    time.sleep(3.0 * (worker.age - 1))\n"
        "    at_once(server, worker)\n"
    )
    with serve(trained.folder, config=str(slow), WORKERS="2") as server:
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 20, "it hung until it was killed"


def test_a_request_in_progress_is_finished(trained: Store, serve: Callable[..., Any]) -> None:
    """A client that has sent half its body when the service is stopped gets a response."""
    body = b"[]"
    with serve(trained.folder) as server:
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 2\r\n\r\n" + body[:1]
            )
            time.sleep(0.5)
            server.process.terminate()
            time.sleep(0.5)
            client.sendall(body[1:])
            assert client.recv(100).startswith(b"HTTP/1.1 422")
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
@pytest.mark.parametrize("config", ["app/gunicorn.conf.py", None])
def test_gunicorns_own_workers_serve_the_application(
    trained: Store,
    serve: Callable[..., Any],
    record: dict[str, Any],
    worker_class: str,
    config: str | None,
) -> None:
    """Predictions, errors, keys and the stop are those of the default worker."""
    key, entry = new_entry("client", ["predict"])
    requests = [("/predict", record), ("/predict", {**record, "age": -1}), ("/nowhere", record)]

    def responses(server: Any) -> list[tuple[int, Any]]:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        received = [
            server.post(path, content, **headers)
            for path, content in requests
            for headers in ({"X-API-Key": key}, {"X-API-Key": "wrong"}, {})
        ]
        for _, content in received:
            content.pop("instance", None)  # the ID of the request
        return received

    with serve(trained.folder, API_KEYS=entry) as server:
        expected = responses(server)
    assert [status for status, _ in expected] == [200, 401, 401, 422, 401, 401, 404, 404, 404]
    with serve(trained.folder, worker_class=worker_class, config=config, API_KEYS=entry) as server:
        assert responses(server) == expected
        assert server.stop() == 0
    assert "Traceback" not in server.output


def test_a_port_in_use_gets_a_clear_message(trained: Store) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wsgi:app"],
            cwd=ROOT,
            env={**os.environ, "PORT": str(port), "MODEL_STORE": str(trained.folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"error: port {port} on 127.0.0.1 is used by another program" in done.stderr
    assert "Traceback" not in done.stderr


def test_wrong_settings_get_a_clear_message() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wsgi:app"],
        cwd=ROOT,
        env={**os.environ, "PORT": "none", "WORKERS": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "error: PORT: expected a whole number" in done.stderr and "WORKERS" in done.stderr
    assert "Traceback" not in done.stderr
