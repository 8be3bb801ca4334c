from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from model.store import Store
from tests.conftest import ROOT


def test_it_says_where_it_is_and_a_line_to_paste(trained: Store, serve: Callable[..., Any]) -> None:
    with serve(trained.folder) as server:
        server.wait_until(lambda: server.get("/readyz")[0] == 200, "the model")
        server.stop()
    assert f"serving on {server.address}" in server.output
    start = server.output.index("curl ")
    pasted = server.output[start : server.output.index("\n\n", start)]
    assert f"{server.address}/predict" in pasted and '"thal": "normal"' in pasted


def test_the_printed_line_works(trained: Store, serve: Callable[..., Any], free_port: int) -> None:
    import json

    from app.record_schema import example_record
    from model.schema import load_schema

    with serve(trained.folder) as server:
        record = example_record(load_schema(ROOT / "schemas/cleveland.toml"))
        status, content = server.post("/predict", json.loads(json.dumps(record)))
    assert status == 200 and content["predictions"][0]["warnings"] == []


def test_sigterm_stops_it_cleanly_and_soon(trained: Store, serve: Callable[..., Any]) -> None:
    with serve(trained.folder, WORKERS="2") as server:
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 20, "it hung until it was killed"
    assert "Traceback" not in server.output


def test_a_request_under_way_is_finished(trained: Store, serve: Callable[..., Any]) -> None:
    """A client that has sent half its body when the service is told to stop gets its answer."""
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


def test_a_taken_port_gets_a_clear_message(trained: Store) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
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
    assert f"error: port {port} on 127.0.0.1 is taken by another program" in done.stderr
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
