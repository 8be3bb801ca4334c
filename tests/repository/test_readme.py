"""The README's blocks, run in a copy of the project as a stranger would run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model.artifacts import Store
from tests.conftest import ROOT

# What is not run here, and why.
ELSEWHERE = {
    "make test": "it would run itself",
    "make check": "it would run itself",
    "docker build": "needs a container engine; test_container.py follows the Dockerfile without one",
}


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(page: Path = ROOT / "README.md") -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.M | re.S)
    return [Block(*pair) for pair in found]


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def copy(trained: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its environment and artifacts, and with a trained version."""
    if not (ROOT / ".venv/.installed-dev").exists():
        pytest.skip("the README's make commands need .venv, which make test makes")
    if shutil.which("curl") is None:
        pytest.skip("the README's blocks need curl, which is not on this machine")
    folder = tmp_path_factory.mktemp("stranger") / "project"
    ignore = shutil.ignore_patterns(".venv*", "artifacts", ".git", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=ignore)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    shutil.copytree(trained.folder, folder / "artifacts/cleveland")
    return folder


@pytest.fixture(scope="module")
def service(copy: Path, port: int) -> Iterator[None]:
    environment = {**os.environ, "PORT": str(port)}
    process = subprocess.Popen(
        ["make", "serve"],
        cwd=copy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for _ in range(600):
        assert process.poll() is None, process.communicate()[0]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz")
            break
        except OSError:
            time.sleep(0.1)
    yield
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert f"serving on http://127.0.0.1:{port}" in output


def run(text: str, copy: Path, port: int) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", text.replace("8080", str(port))],
        cwd=copy,
        env={**os.environ, "PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def keys(value: Any) -> Any:
    """The shape of an answer: its keys, without its values."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(inner) for inner in value] if isinstance(value, list) else None


def test_every_block_is_run_or_said_why_not() -> None:
    for block in blocks():
        assert block.language in ("sh", "python", "json", "text")
        known = ("make serve", "curl", "make retrain", "make rollback", *ELSEWHERE)
        assert block.language != "sh" or block.text.startswith(known), block.text


@pytest.mark.usefixtures("service")
def test_the_blocks(copy: Path, port: int) -> None:
    answered = refused = 0
    found = blocks()
    for block, after in zip(found, [*found[1:], Block("text", "")], strict=True):
        if block.language == "python":
            program = block.text.replace("8080", str(port))
            done = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True
            )
            assert 0 < float(done.stdout) < 1
        elif block.text.startswith("curl"):
            for command in re.split(r"\n(?=curl)", block.text):
                content = json.loads(run(command, copy, port))
                answered += "predictions" in content
                refused += content.get("status") == 422
            if after.language == "json":
                shown = json.loads(after.text)
                assert keys(shown) == keys(content)
                (said,), (got,) = shown["predictions"], content["predictions"]
                assert said["probability"] == round(got["probability"], 2)
                assert (said["label"], said["missing"]) == (got["label"], got["missing"])
        elif block.text.startswith("make retrain"):
            output = run(block.text, copy, port)
            assert "promoted: same recipe as version 1" in output
            assert re.search(r"^\*   2  ", output, re.M)
            taken_over(port, "2")
        elif block.text.startswith("make rollback"):
            output = run(block.text, copy, port)
            assert "version 1 is current" in output and "497 parameters" in output
            taken_over(port, "1")
    assert (answered, refused) == (1, 1)


def taken_over(port: int, version: str) -> None:
    """A running service takes over what is current, in every worker."""
    for _ in range(100):
        seen = set()
        for _ in range(10):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as response:
                seen.add(json.load(response)["version"])
        if seen == {version}:
            return
        time.sleep(0.1)
    raise AssertionError(f"the service never took over version {version}")


def test_make_shows_every_command(copy: Path) -> None:
    output = subprocess.run(["make"], cwd=copy, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert len(targets) > 15
    for target in targets:
        assert f"make {target} " in output


@pytest.mark.slow
def test_a_strangers_first_call(tmp_path: Path, port: int) -> None:
    """A fresh clone, an empty environment, one command, one answer. Installs everything."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    kept = ("PATH", "HOME", "LANG")
    environment = {k: v for k, v in os.environ.items() if k in kept or k.startswith("PIP_")}
    environment["PATH"] = environment["PATH"].replace(str(ROOT / ".venv/bin") + ":", "")
    environment["PORT"] = str(port)
    process = subprocess.Popen(["make", "serve"], cwd=clone, env=environment)
    try:
        for _ in range(6000):
            assert process.poll() is None
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as response:
                    assert json.load(response)["version"] == "1"
                    break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError("no service within ten minutes")
    finally:
        process.terminate()
        process.wait(60)
    second = subprocess.run(
        ["make", "train"], cwd=clone, env=environment, capture_output=True, text=True, check=True
    )
    assert second.stdout.startswith("Version 1 is already current")
