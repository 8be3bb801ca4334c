"""Tests of the README: its blocks are run in a copy of the project, as a new user runs them."""

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

NOT_RUN = ("docker build",)
"""Needs a container engine; test_container.py follows the Dockerfile without one."""
RUN = ("make serve", "curl", "make retrain", "make rollback")
MAX_LINES = 150


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks(page: Path = ROOT / "README.md") -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    fences = re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.M | re.S)
    return [Block(language, text) for language, text in fences]


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def copy(trained: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with a trained version and without other artifacts."""
    if not (ROOT / ".venv/.installed-dev").exists():
        pytest.skip("the README's make commands need .venv, which make test makes")
    if shutil.which("curl") is None:
        pytest.skip("the README's blocks need curl, which is not on this machine")
    folder = tmp_path_factory.mktemp("new_user") / "project"
    ignore = shutil.ignore_patterns(".venv*", ".git", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=ignore)
    shutil.rmtree(folder / "artifacts", ignore_errors=True)
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
    assert f"http://127.0.0.1:{port}" in output


def run(text: str, copy: Path, port: int) -> str:
    completed = subprocess.run(
        ["sh", "-e", "-c", text.replace("8080", str(port))],
        cwd=copy,
        env={**os.environ, "PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout + completed.stderr


def keys(value: Any) -> Any:
    """Return the keys of a JSON value, without its values."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(inner) for inner in value] if isinstance(value, list) else None


def test_the_readme_is_short_and_begins_with_the_two_commands() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < MAX_LINES
    first = blocks()[0].text.splitlines()
    assert [line.split("#")[0].strip() for line in first] == ["make serve", "make retrain"]


def test_every_block_is_run_or_excepted() -> None:
    for block in blocks():
        assert block.language in ("sh", "python", "json")
        assert block.language != "sh" or block.text.startswith((*RUN, *NOT_RUN)), block.text


@pytest.mark.usefixtures("service")
def test_the_blocks(copy: Path, port: int) -> None:
    n_predictions = n_invalid = 0
    all_blocks = blocks()
    for block, following in zip(all_blocks, [*all_blocks[1:], Block("", "")], strict=True):
        if block.language == "python":
            program = block.text.replace("8080", str(port))
            completed = subprocess.run(
                [sys.executable, "-c", program], capture_output=True, text=True, check=True
            )
            assert 0 < float(completed.stdout) < 1
        elif block.text.startswith("curl"):
            for command in re.split(r"\n(?=curl)", block.text):
                response = json.loads(run(command, copy, port))
                n_predictions += "predictions" in response
                n_invalid += response.get("status") == 422
            if following.language == "json":
                documented = json.loads(following.text)
                assert keys(documented) == keys(response)
                (expected,), (actual,) = documented["predictions"], response["predictions"]
                assert expected["probability"] == round(actual["probability"], 2)
                assert (expected["label"], expected["missing"]) == (
                    actual["label"],
                    actual["missing"],
                )
        elif block.text.startswith("make retrain"):
            output = run(block.text, copy, port)
            assert re.search(r"^\* +2\b", output, re.M), "version 2 is the current one"
            wait_for_version(port, "2")
        elif block.text.startswith("make rollback"):
            assert re.search(r"\b497\b", run(block.text, copy, port))
            wait_for_version(port, "1")
    assert (n_predictions, n_invalid) == (1, 1)


def wait_for_version(port: int, version: str) -> None:
    """Wait until every worker of the running service answers with a version."""
    for _ in range(100):
        versions = set()
        for _ in range(10):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as response:
                versions.add(json.load(response)["version"])
        if versions == {version}:
            return
        time.sleep(0.1)
    raise AssertionError(f"the service never answered with version {version}")


def test_make_shows_every_command(copy: Path) -> None:
    output = subprocess.run(["make"], cwd=copy, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert len(targets) > 15
    for target in targets:
        assert f"make {target} " in output


@pytest.mark.slow
def test_the_first_call_in_a_fresh_clone(tmp_path: Path, port: int) -> None:
    """Needs the package index: it installs everything into an empty environment."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    inherited = ("PATH", "HOME", "LANG")
    environment = {k: v for k, v in os.environ.items() if k in inherited or k.startswith("PIP_")}
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
    assert not (clone / "artifacts/cleveland/2").exists(), "a current version is not replaced"
