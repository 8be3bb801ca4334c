"""A contestant's processes: start, first answer, CPU time, memory, stop. Reads Linux's /proc."""

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
    """A contestant gave no answer 200; the message holds the end of what it printed."""


@dataclass(frozen=True)
class Cores:
    """Which core the servers run on, and which one the load generator."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first and the last one that this process may use; one for both where there is one."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[-1])


@dataclass(frozen=True)
class Memory:
    """Memory of one process in MB of 1,000,000 bytes.

    Attributes:
        rss: resident, what it shares with others included.
        pss: proportional: what it shares is divided by the number of those who share it.
    """

    rss: float
    pss: float


class Running:
    """A started contestant.

    Attributes:
        first_answer_s: from the start of its process to the end of its first answer 200.
        answer: that answer's body.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.first_answer_s = float("nan")
        self.answer: Any = None

    def cpu_seconds(self) -> dict[int, float]:
        """By process of the contestant, CPU time since it started, the kernel's included."""
        times = {}
        for pid in self._tree():
            try:
                text = Path(f"/proc/{pid}/stat").read_text()
            except OSError:  # it has ended meanwhile
                continue
            after_name = text.rpartition(")")[2].split()
            times[pid] = (int(after_name[11]) + int(after_name[12])) / _TICKS
        return times

    def busiest(self, n_workers: int, since: Mapping[int, float]) -> list[int]:
        """The processes that used most CPU since then, of those without children: who answers."""
        used = {pid: t - since.get(pid, 0.0) for pid, t in self.cpu_seconds().items()}
        ends = [pid for pid in used if not _children(pid)]
        return sorted(ends, key=lambda pid: used[pid], reverse=True)[:n_workers]

    def all_pss(self) -> float:
        """MB, proportional, of all its processes together."""
        return sum(memory_of(pid).pss for pid in self._tree())

    def _tree(self) -> list[int]:
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += _children(pid)
        return found


def _children(pid: int) -> list[int]:
    """Those of all its threads; none where it has ended."""
    texts = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            texts.append(file.read_text())
    return [int(child) for text in texts for child in text.split()]


def memory_of(pid: int) -> Memory:
    """Memory of a process as the kernel accounts for it."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        fields[name] = int(rest.split()[0]) * 1024 / 1e6
    return Memory(fields["Rss"], fields["Pss"])


@contextmanager
def running(
    contestant: BenchmarkTarget, body: bytes, *, store: Path, graph: Path, cores: Cores
) -> Iterator[Running]:
    """Start a contestant on its core, wait for its first answer, and stop it afterwards.

    Raises:
        DidNotStart: not installed, it ended, or no answer 200 came in time.
    """
    if not contestant.is_installed:
        raise DidNotStart(f"its environment {contestant.python.parent.parent} was not made")
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        log = stack.enter_context((Path(scratch) / "output.log").open("w+b"))
        ports = dict(zip(("port", "second_port", "third_port"), _free_ports(3), strict=True))
        folder = contestant.python.parent.absolute()
        values = {"python": contestant.python, "bin": folder, "scratch": scratch, **ports}
        environment = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",  # as in an activated environment
            "OPENBLAS_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",
            "PYTHONPATH": str(Path.cwd()),
            "MODEL_STORE": str(store),
            "GRAPH": str(graph.absolute()),
            **{name: text.format(**values) for name, text in contestant.settings.items()},
        }
        if contestant.prepare:
            command = shlex.split(contestant.prepare.format(**values))
            done = subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
            if done.returncode:
                raise DidNotStart(f"preparing it failed:\n{_end_of(log)}")
        command = shlex.split(contestant.command.format(**values))
        os.sched_setaffinity(0, {cores.server})  # what is started inherits it
        try:
            start = time.perf_counter()
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        finally:
            os.sched_setaffinity(0, {cores.load})
        stack.callback(_stop, process)
        server = Running(process, ports["port"])
        try:
            server.answer = _first_answer(server, contestant.path, body, start)
        except DidNotStart as error:
            raise DidNotStart(f"{error}\n{_end_of(log)}") from None
        server.first_answer_s = time.perf_counter() - start
        yield server


def _first_answer(server: Running, path: str, body: bytes, start: float) -> Any:
    """Ask every few milliseconds until the answer is 200."""
    said = "it never listened"
    while time.perf_counter() - start < START_SECONDS:
        if (code := server.process.poll()) is not None:
            raise DidNotStart(f"it ended with {code}")
        connection = http.client.HTTPConnection(HOST, server.port, timeout=START_SECONDS)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            if response.status == 200:
                return json.loads(text)
            said = f"it answered {response.status}: {text[:300].decode(errors='replace')}"
            if response.status in (400, 415, 422, 500):
                raise DidNotStart(said)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise DidNotStart(f"no answer 200 in {START_SECONDS:g} s; {said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As a container engine does, and then whatever is left of its session."""
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


def _end_of(log: Any) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-15:])
