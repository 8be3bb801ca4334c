"""A target's processes: start, first response, CPU time, memory, stop. Reads Linux's /proc."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contestants import BenchmarkTarget
from bench.load import HOST

START_SECONDS = 120.0
STOP_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """A target did not respond with status 200; the message contains the end of its output."""


@dataclass(frozen=True)
class Cores:
    """The core of the servers and the core of the load generator."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        """Return the first and the last core that this process may use; they may be the same."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[-1])


@dataclass(frozen=True)
class Memory:
    """Memory of a process in MB of 1,000,000 bytes.

    Attributes:
        rss: resident memory, including memory shared with other processes.
        pss: proportional memory: a shared page is divided by the number of processes that share it.
    """

    rss: float
    pss: float


class RunningTarget:
    """A started target.

    Attributes:
        process: the process that the command started.
        port: the port that the target listens on.
        first_answer_s: time from the start of the process to the end of the first response with
            status 200.
        response: the body of that response.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.first_answer_s = float("nan")
        self.response: Any = None

    def cpu_seconds(self) -> dict[int, float]:
        """Return user and system CPU time since the start, by process of the target."""
        times = {}
        for pid in self._process_tree():
            try:
                text = Path(f"/proc/{pid}/stat").read_text()
            except OSError:  # the process has ended
                continue
            after_name = text.rpartition(")")[2].split()
            times[pid] = (int(after_name[11]) + int(after_name[12])) / _TICKS
        return times

    def busiest(self, n_workers: int, since: Mapping[int, float]) -> list[int]:
        """Return the workers: the processes without children that used most CPU time.

        Args:
            n_workers: number of workers.
            since: CPU seconds by process at the beginning, from :meth:`cpu_seconds`.
        """
        used = {pid: t - since.get(pid, 0.0) for pid, t in self.cpu_seconds().items()}
        childless = [pid for pid in used if not _children(pid)]
        return sorted(childless, key=lambda pid: used[pid], reverse=True)[:n_workers]

    def total_pss(self) -> float:
        """Return the proportional memory of all processes together, in MB."""
        return sum(process_memory(pid).pss for pid in self._process_tree())

    def _process_tree(self) -> list[int]:
        pids, pending = [], [self.process.pid]
        while pending:
            pid = pending.pop()
            pids.append(pid)
            pending += _children(pid)
        return pids


def _children(pid: int) -> list[int]:
    """Return the child processes of all threads; none if the process has ended."""
    texts = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            texts.append(file.read_text())
    return [int(child) for text in texts for child in text.split()]


def process_memory(pid: int) -> Memory:
    """Return the memory of a process from the kernel's accounting."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0]) * 1024 / 1e6
    return Memory(fields["Rss"], fields["Pss"])


@contextmanager
def run_target(
    target: BenchmarkTarget, body: bytes, *, store: Path, graph: Path, cores: Cores
) -> Iterator[RunningTarget]:
    """Start a target on its core, wait for its first response, and stop it at the end.

    Args:
        target: the server to start.
        body: body of the first request.
        store: the store whose current version the service serves.
        graph: the ONNX graph that the peers serve.
        cores: the cores of the server and of the load generator.

    Raises:
        DidNotStart: its environment does not exist, it ended, or it did not respond with status 200
            in time.
    """
    if not target.is_installed:
        raise DidNotStart(
            f"the environment {target.python.parent.parent} does not exist; run make bench-peers"
        )
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        log = stack.enter_context((Path(scratch) / "output.log").open("w+b"))
        ports = dict(zip(("port", "second_port", "third_port"), _free_ports(3), strict=True))
        folder = target.python.parent.absolute()
        placeholders = {"python": target.python, "bin": folder, "scratch": scratch, **ports}
        environment = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",  # as in an activated environment
            "OPENBLAS_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(Path.cwd()),
            "MODEL_STORE": str(store),
            "GRAPH": str(graph.absolute()),
            **{name: text.format(**placeholders) for name, text in target.settings.items()},
        }
        if target.prepare:
            command = shlex.split(target.prepare.format(**placeholders))
            completed = subprocess.run(
                command, env=environment, stdout=log, stderr=log, check=False
            )
            if completed.returncode:
                raise DidNotStart(f"the command before the start failed:\n{_last_lines(log)}")
        command = shlex.split(target.command.format(**placeholders))
        os.sched_setaffinity(0, {cores.server})  # the process inherits the affinity
        try:
            start = time.perf_counter()
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        finally:
            os.sched_setaffinity(0, {cores.load})
        stack.callback(_stop, process)
        server = RunningTarget(process, ports["port"])
        try:
            server.response = _first_response(server, target.path, body, start)
        except DidNotStart as error:
            raise DidNotStart(f"{error}\n{_last_lines(log)}") from None
        server.first_answer_s = time.perf_counter() - start
        yield server


def _first_response(server: RunningTarget, path: str, body: bytes, start: float) -> Any:
    """Send a request every 5 ms until the status is 200, and return the response's content."""
    last_error = "it did not accept connections"
    while time.perf_counter() - start < START_SECONDS:
        if (code := server.process.poll()) is not None:
            raise DidNotStart(f"the process ended with exit status {code}")
        connection = http.client.HTTPConnection(HOST, server.port, timeout=START_SECONDS)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status == 200:
                return json.loads(text)
            last_error = f"status {response.status}: {text[:300].decode(errors='replace')}"
            if response.status in (400, 415, 422, 500):
                raise DidNotStart(last_error)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise DidNotStart(f"no response with status 200 in {START_SECONDS:g} s: {last_error}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process with SIGTERM, then kill what remains of its session after 30 s."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_ports(n: int) -> list[int]:
    probes = [socket.socket() for _ in range(n)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _last_lines(log: Any) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-15:])
