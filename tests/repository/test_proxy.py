"""nginx with the proxy's configuration, in front of the real service.

The tests replace only ports, the folder of temporary files, the service's address, and timeouts
that they wait for.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app import Settings
from model.artifacts import Store
from tests.conftest import ROOT

CONFIGURATION = ROOT / "deploy/nginx/nginx.conf"
NOBODY = 65534

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="needs nginx, which is not on this machine"
)


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Proxy:
    """A running proxy, as a client sees it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def ask(
        self, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named |= {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, named)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, dict(response.headers), json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), json.load(error)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def exchange(self, *parts: bytes) -> bytes:
        """Send bytes as they are, and read until the proxy closes."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            return read_to_the_end(client)


def read_to_the_end(client: socket.socket) -> bytes:
    received = b""
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        pass  # the proxy closed the connection while data was in transit
    return received


def configuration(folder: Path, listen: int, *services: int, **directives: str) -> Path:
    text = CONFIGURATION.read_text()
    # nginx would not use a service for ten seconds after it refused a connection.
    parameters = " max_fails=0" if len(services) > 1 else ""
    addresses = " ".join(f"server 127.0.0.1:{service}{parameters};" for service in services)
    for original, replacement in {
        "server serve:8080;": addresses,
        "listen 8000": f"listen 127.0.0.1:{listen}",
        "/tmp/": f"{folder}/",
    }.items():
        assert original in text
        text = text.replace(original, replacement)
    for directive, value in directives.items():
        text, n = re.subn(rf"{directive} \w+;", f"{directive} {value};", text)
        assert n == 1, directive
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


@pytest.fixture
def proxy() -> Iterator[Callable[..., Any]]:
    """Return a context manager that starts nginx in front of a port."""
    folders = []

    @contextmanager
    def start(
        service: int, user: int | None = None, second_service: int | None = None, **directives: str
    ) -> Iterator[Proxy]:
        folder = Path(tempfile.mkdtemp(prefix="proxy-"))
        folders.append(folder)
        folder.chmod(0o755)
        listen = port()
        path = configuration(
            folder, listen, *(s for s in (service, second_service) if s), **directives
        )
        log = folder / "printed"
        with log.open("wb") as output:
            if user is not None:
                for owned in (folder, log):
                    os.chown(owned, user, user)
            process = subprocess.Popen(
                ["nginx", "-e", "stderr", "-c", path],
                stdout=output,
                stderr=output,
                user=user,
                group=user,
                cwd="/",
            )
        running = Proxy(process, listen, log)
        try:
            for _ in range(100):
                assert process.poll() is None, log.read_text()
                try:
                    running.connect().close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield running
        finally:
            process.terminate()
            process.wait(20)

    yield start
    for folder in folders:
        shutil.rmtree(folder)


class Recorder:
    """A stub of the service that records requests and returns a given response."""

    def __init__(self, answer: Callable[[bytes, int], bytes | None]) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        n_before = 0
        with connection, connection.makefile("rb") as lines:
            while request := self._read(lines):
                self.requests.append(request)
                answer = self._answer(request, n_before)
                if answer is None:
                    return
                connection.sendall(answer)
                n_before += 1

    @staticmethod
    def _read(lines: Any) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = lines.readline()
            if not line:
                return b""
            head += line
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return head + (lines.read(int(length[1])) if length else b"")

    def close(self) -> None:
        self._socket.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def record_with() -> Iterator[Callable[..., Recorder]]:
    recorders: list[Recorder] = []

    def make(answer: Callable[[bytes, int], bytes | None] = lambda _, __: OK) -> Recorder:
        recorders.append(Recorder(answer))
        return recorders[-1]

    yield make
    for recorder in recorders:
        recorder.close()


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    path = configuration(tmp_path, port(), port())
    done = subprocess.run(
        ["nginx", "-e", "stderr", "-t", "-c", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_it_writes_under_tmp_only() -> None:
    text = CONFIGURATION.read_text()
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        assert re.search(rf"^ +{kind}_temp_path /tmp/\w+;", text, re.M), kind
    assert set(re.findall(r"^ *(?:pid|error_log|access_log) (\S+?)[ ;]", text, re.M)) == {
        "/tmp/nginx.pid",
        "stderr",
        "/dev/stdout",
        "off",
    }


def test_predictions_and_errors_are_passed_on(
    trained: Store,
    serve: Callable[..., Any],
    proxy: Callable[..., Any],
    record: dict[str, Any],
    free_port: int,
) -> None:
    body = json.dumps(record).encode()
    with serve(trained.folder) as server, proxy(free_port) as front:
        status, headers, answer = front.ask("/predict", body)
        assert (status, answer) == (200, server.post("/predict", record)[1])
        assert headers["Server"] == "nginx", "no version of anything"
        status, headers, answer = front.ask("/predict", json.dumps({"age": 1}).encode())
        assert status == 422 and answer["errors"], "the error of the service, not of the proxy"
        assert headers["Content-Type"] == "application/problem+json"


def test_slow_clients_hold_no_worker(
    trained: Store,
    serve: Callable[..., Any],
    proxy: Callable[..., Any],
    record: dict[str, Any],
    free_port: int,
) -> None:
    """While a hundred clients send half a body, the only worker answers another client."""
    body = json.dumps(record).encode()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with serve(trained.folder) as server, proxy(free_port) as front:
        slow = [front.connect() for _ in range(100)]
        for client in slow:
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
        assert front.ask("/predict", body)[0] == 200
        for client in slow:
            client.sendall(body[-1:])
            assert client.recv(12) == b"HTTP/1.1 200", "slow clients are answered too"
            client.close()
        server.stop()
    assert "ERROR" not in server.output


def test_a_request_is_passed_on_when_it_is_complete(
    proxy: Callable[..., Any], record_with: Callable[..., Recorder]
) -> None:
    service = record_with()
    with proxy(service.port) as front, front.connect() as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"2\r\n[]\r\n")
        time.sleep(0.3)
        assert service.requests == []
        client.sendall(b"0\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        (request,) = service.requests
        assert b"Content-Length: 2\r\n" in request and request.endswith(b"\r\n\r\n[]")
        assert b"Connection: close" not in request, "connections to the service are kept"


def test_ids_are_passed_on(proxy: Callable[..., Any], record_with: Callable[..., Recorder]) -> None:
    service = record_with()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with proxy(service.port) as front:
        front.ask("/healthz", X_Request_ID="visit-17", traceparent=trace)
        front.ask("/healthz")
    forwarded, generated = (request.decode() for request in service.requests)
    assert "X-Request-ID: visit-17\r\n" in forwarded
    assert f"traceparent: {trace}\r\n".lower() in forwarded.lower()
    assert re.search(r"X-Request-ID: [0-9a-f]{32}\r\n", generated), "a missing ID is generated"


def is_problem(answer: tuple[int, dict[str, str], Any], status: int) -> bool:
    code, headers, content = answer
    assert code == content["status"] == status
    assert headers["Content-Type"] == "application/problem+json"
    assert content["error"] == content["detail"] != "the proxy failed"
    assert headers["X-Request-ID"] == content["request_id"]
    return bool(content["title"] and content["type"])


def test_a_body_over_the_limit_is_refused_in_json(proxy: Callable[..., Any]) -> None:
    """With a declared length and in chunks; no service is needed."""
    body = b" " * 9_000_000
    with proxy(port()) as front:
        answer = front.ask("/predict", body, X_Request_ID="big.one")
        assert is_problem(answer, 413) and answer[2]["request_id"] == "big.one"
        in_chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert front.exchange(head + in_chunks).startswith(b"HTTP/1.1 413")
    limit = re.search(r"client_max_body_size (\d+)m;", CONFIGURATION.read_text())
    assert limit and int(limit[1]) * 1024**2 == Settings().max_body_bytes


def test_an_unreachable_service_gives_502_in_json(proxy: Callable[..., Any]) -> None:
    with proxy(port()) as front:
        answer = front.ask("/predict", b"{}")
        assert is_problem(answer, 502)
        assert answer[1]["Retry-After"] == "1"


def test_a_timeout_of_the_service_gives_504_in_json(
    proxy: Callable[..., Any], record_with: Callable[..., Recorder]
) -> None:
    """The request is not sent again."""
    done = threading.Event()

    def never(_: bytes, __: int) -> None:
        done.wait(20)

    service = record_with(never)
    with proxy(service.port, proxy_read_timeout="1s") as front:
        assert is_problem(front.ask("/schema"), 504)
        done.set()
    assert len(service.requests) == 1


def test_malformed_requests_are_refused_in_json(proxy: Callable[..., Any]) -> None:
    with proxy(port()) as front:
        for sent, status in (
            (b"POST /predict HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
            (b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
            (b"TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
        ):
            head, _, content = front.exchange(sent).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d" % status), head
            assert b"Content-Type: application/problem+json" in head
            assert json.loads(content)["status"] == status
        assert is_problem(front.ask("/metrics"), 404), "metrics are not for clients"
        assert is_problem(front.ask("/.proxy/problem"), 404)
        assert front.ask("/.proxy/alive")[0] == 200


def test_only_get_requests_are_sent_again(
    proxy: Callable[..., Any], record_with: Callable[..., Recorder]
) -> None:
    """The service closes a kept connection instead of answering."""

    def answer_first(_: bytes, n_before: int) -> bytes | None:
        return OK if n_before == 0 else None

    for body, status, n_requests in ((None, 200, 3), (b"[]", 502, 2)):
        service = record_with(answer_first)
        with proxy(service.port) as front:
            assert front.ask("/model")[0] == 200
            assert front.ask("/predict", body)[0] == status
        assert len(service.requests) == n_requests


def test_clients_that_send_nothing_or_drip_headers_are_dropped(
    proxy: Callable[..., Any], record_with: Callable[..., Recorder]
) -> None:
    service = record_with()
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    with proxy(service.port, client_header_timeout="1s", client_body_timeout="1s") as front:
        with front.connect() as silent:
            silent.sendall(head + b"[")
            assert read_to_the_end(silent) == b""
        with front.connect() as dripping:
            dripped = 0
            try:
                for letter in (b"GET / HTTP/1.1\r\nX: " + b"a" * 200).decode():
                    dripping.sendall(letter.encode())
                    dripped += 1
                    time.sleep(0.05)
            except OSError:
                pass
            assert dripped < 200, "it was not disconnected"
    assert service.requests == []


def test_no_value_appears_in_the_log(
    trained: Store, serve: Callable[..., Any], proxy: Callable[..., Any], free_port: int
) -> None:
    marked = b"MARKED8151815"
    with proxy(free_port) as front:
        with serve(trained.folder):
            front.ask("/predict?age=8151815", b'{"age": 8151815, "sex": "MARKED8151815"}')
            front.ask("/MARKED8151815", X_Request_ID="MARKED 8151815;")
        front.ask("/predict?age=8151815", b'{"age": 8151815}')
        front.exchange(marked + b" / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        front.exchange(b"GET / HTTP/1.1\r\n" + marked + b" : 1\r\n\r\n")
        front.exchange(b"GET /" + marked * 9_000 + b" HTTP/1.1\r\n\r\n")
        with front.connect() as client:
            client.sendall(
                b"POST /8151815 HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n" + marked
            )
        time.sleep(0.3)
        lines = front.log.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [(e["method"], e["status"]) for e in events[:3]] == [
        ("POST", 422),
        ("GET", 404),
        ("POST", 502),
    ]
    assert len(events) == 7
    assert "8151815" not in "".join(lines)


def test_any_user_can_run_it(
    proxy: Callable[..., Any], record_with: Callable[..., Recorder]
) -> None:
    """The user can write only to the proxy's folder; the large body and response use files."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to run nginx as another user")
    large = b"[" + b" " * 3_000_000 + b"]"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(large) + large
    service = record_with(lambda _, __: answer)
    with proxy(service.port, user=NOBODY) as front:
        assert front.ask("/predict", large)[2] == []
        (request,) = service.requests
        assert request.endswith(large)
        assert front.process.poll() is None
        for line in front.log.read_text().splitlines():
            json.loads(line)
