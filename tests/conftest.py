"""Fixtures of all tests: schema, table, one trained version per session, the real server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from hypothesis import settings

from app import Settings, create_app
from model.artifacts import MANIFEST_FILE, Artifact, Store
from model.artifacts.artifact import read_artifact
from model.artifacts.manifest import encode_manifest, with_checksum
from model.inference import Explainer, load_missing_value_scorer
from model.schema import Schema, load_schema
from model.training import RECIPES
from pipelines.data import Table, read_table
from pipelines.devices import select_device

ReportMeasurement = Callable[[str], None]
"""A function that prints a measurement of a test."""
ROOT = Path(__file__).parent.parent
DEFAULT_EXAMPLES = 100
"""Examples per property in hypothesis's default profile, which ``make test`` uses."""


def n_examples(n: int) -> int:
    """Return the number of examples of a property: n, or fewer with the profile ``fast``."""
    profile = settings.default
    assert profile is not None
    return max(1, n * profile.max_examples // DEFAULT_EXAMPLES)


@pytest.fixture(scope="session")
def schema() -> Schema:
    return load_schema(ROOT / "schemas/cleveland.toml")


@pytest.fixture(scope="session")
def table(schema: Schema) -> Table:
    return read_table(ROOT / "data/cleveland.csv", schema)


@pytest.fixture(scope="session")
def trained(trained_store: Store) -> Store:
    """Return the store that tests serve from. tests/unit overrides it with a hand-made one."""
    return trained_store


@pytest.fixture(scope="session")
def trained_store(tmp_path_factory: pytest.TempPathFactory, schema: Schema) -> Store:
    """Return a store with one version: the default recipe trained on the bundled table."""
    device = select_device("cpu")
    from pipelines.training import RetrainRequest, retrain_model

    store = Store(tmp_path_factory.mktemp("artifacts") / "cleveland")
    request = RetrainRequest(
        ROOT / "data/cleveland.csv", schema, RECIPES["default"], "default", device, "pytest"
    )
    _, decision = retrain_model(request, store)
    assert decision.promote, "a first version that works must become the current one"
    return store


@pytest.fixture
def store(trained: Store, tmp_path: Path) -> Store:
    """Return a copy of the trained store, which a test may change."""
    return Store(shutil.copytree(trained.folder, tmp_path / "cleveland"))


@pytest.fixture
def artifact(store: Store) -> Artifact:
    return read_artifact(store.path("1"))


def explainer_of(artifact: Artifact, **options: Any) -> Explainer:
    """Return the explainer of an artifact, loaded as a worker loads it."""
    return Explainer(
        artifact, load_missing_value_scorer(artifact.schema, artifact.files), **options
    )


def remove_optional_files(artifact: Artifact, *names: str) -> None:
    """Remove optional files from an artifact, as if an earlier release had written it."""
    for name in names:
        (artifact.folder / name).unlink()
    files = {n: f for n, f in artifact.manifest.files.items() if n not in names}
    manifest = with_checksum(msgspec.structs.replace(artifact.manifest, files=files))
    (artifact.folder / MANIFEST_FILE).write_bytes(encode_manifest(manifest))


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the block after some seconds, also within a regular expression.

    For code that would take minutes when broken. The limit is far above the time that it needs.
    """

    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the block took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def client(trained: Store) -> FlaskClient:
    return create_app(Settings(model_store=trained.folder)).test_client()


@pytest.fixture
def record(schema: Schema) -> dict[str, Any]:
    """Return a record that is valid in every column."""
    return {column.name: column.example for column in schema.columns}


@pytest.fixture
def report_measurement(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> ReportMeasurement:
    """Return a function that prints a measurement, also if the test passes."""

    def report(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {request.node.name}: {text}")  # noqa: T201

    return report


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve(free_port: int, tmp_path: Path) -> Callable[..., Any]:
    """Return a context manager that runs the real server in a separate process."""

    @contextmanager
    def start(
        store: Path,
        worker_class: str | None = None,
        log: Path | None = None,
        config: str | None = "app/gunicorn.conf.py",
        **settings: str,
    ) -> Iterator[Server]:
        port = settings.get("PORT", str(free_port))
        environment = {
            **os.environ,
            "MODEL_STORE": str(store),
            "PORT": port,
            "WORKERS": "1",
            **settings,
        }
        # A file, because a full pipe that nobody reads would block the service.
        log = log or tmp_path / f"log-{port}"
        options = ["--config", config] if config else []
        if worker_class:
            options += ["--worker-class", worker_class]
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *options, "app.wsgi:app"],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Server(process, f"http://127.0.0.1:{port}", log)
        try:
            server.wait_until_alive()
            yield server
        finally:
            server.stop()

    return start


class Server:
    """A running server, as seen by a client."""

    def __init__(self, process: subprocess.Popen[bytes], address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self._log = log

    @property
    def output(self) -> str:
        """Everything that the server has printed so far."""
        return self._log.read_text()

    @property
    def workers(self) -> list[int]:
        """The sorted process ids of the workers. A dead worker is missing until it is replaced."""
        parent = self.process.pid
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        return sorted(map(int, listed.split()))

    def get(self, path: str) -> tuple[int, Any]:
        return self._ask(urllib.request.Request(self.address + path))

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=10) as response:
            return response.read().decode()

    def post(self, path: str, content: Any, **headers: str) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", **headers}
        body = json.dumps(content).encode()
        return self._ask(urllib.request.Request(self.address + path, body, headers))

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(300):
            if condition():
                return
            time.sleep(0.1)
        raise AssertionError(f"timed out waiting for {what}")

    def wait_until_alive(self) -> None:
        def is_alive() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the server stopped: {self.output}")
            try:
                return self.get("/healthz")[0] == 200
            except OSError:
                return False

        self.wait_until(is_alive, "the server")

    def stop(self) -> int:
        """Send SIGTERM, as a container engine does, and return the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=40)

    @staticmethod
    def _ask(request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
