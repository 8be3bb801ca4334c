"""The Dockerfile without an engine: its copies, its install command, its entry point.

Needs Linux, and root to run the service as another user. Without root it runs as the current user,
with a warning.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.artifacts import Store
from pipelines.cli import main
from tests.conftest import ROOT

NOBODY = 65534


def stages() -> dict[str, list[list[str]]]:
    """Return the instructions of each stage: [["COPY", "app app"], …]."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    by_stage: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, rest = line.split(maxsplit=1)
            if word == "FROM":
                stage = rest.split(" AS ")[1]
                by_stage[stage] = []
            by_stage[stage].append([word, rest])
    return by_stage


def instructions(stage: str, word: str) -> list[str]:
    return [rest for instruction, rest in stages()[stage] if instruction == word]


@pytest.fixture(scope="module")
def image(trained: Store) -> Iterator[Path]:
    """Return a folder with the files of the serve stage, which every user can read."""
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    work, site = folder / "srv", folder / "site"
    work.mkdir()
    for copy in instructions("serve", "COPY"):
        *sources, target = copy.split()
        for source in sources:
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, work / target, ignore=ignored)
            else:
                shutil.copy(ROOT / source, work / target)
    install = next(
        shlex.split(run) for run in instructions("serve", "RUN") if run.startswith("pip install")
    )
    subprocess.run(
        [sys.executable, "-m", *install, "--quiet", "--target", str(site)], cwd=work, check=True
    )
    shutil.copytree(trained.folder, folder / "models")
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def interpreter(user: int | None) -> str | None:
    """Return a Python of this version, outside any environment, that the user can run."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix) / "bin" / f"python{version}"
    for candidate in (base, Path(f"/usr/bin/python{version}")):
        try:
            subprocess.run([candidate, "-c", ""], user=user, cwd="/", env={}, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return str(candidate)
    return None


def test_the_serving_image_installs_no_training_library(image: Path) -> None:
    installed = {path.name for path in (image / "site").iterdir()}
    assert {"flask", "gunicorn", "onnxruntime", "numpy", "msgspec"} <= installed
    assert not installed & {"tensorflow", "keras", "pandas", "sklearn", "scipy", "onnx", "pyarrow"}
    copied = {path.name for path in (image / "srv").iterdir()}
    assert copied == {"app", "model", "requirements-serve.txt", "constraints.txt"}


@pytest.mark.parametrize("arguments", [[], ["serve"]], ids=["alone", "serve"])
def test_it_serves_as_another_user_and_stops_cleanly(
    image: Path, record: dict[str, Any], free_port: int, arguments: list[str]
) -> None:
    """Start the image like an engine, without and with SageMaker's argument."""
    user = NOBODY if os.geteuid() == 0 else None
    if user is None:
        warnings.warn("not root: the image's command runs as the current user", stacklevel=1)
    python = interpreter(user)
    if python is None:
        pytest.skip("no Python of this version may be run by another user on this machine")
    environment = dict(
        shlex.split(pair)[0].split("=", 1)
        for env in instructions("serve", "ENV")
        for pair in env.split()
    )
    environment |= {
        "PORT": str(free_port),
        "MODEL_STORE": str(image / "models"),
        "PYTHONPATH": str(image / "site"),
    }
    before = sorted(str(path) for path in image.rglob("*"))
    process = subprocess.Popen(
        [python, *entry_point(), *arguments],
        cwd=image / "srv",
        env=environment,
        user=user,
        group=user,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        answer = post(f"http://127.0.0.1:{free_port}/predict", record, process)
        health = json.loads(instructions("serve", "HEALTHCHECK")[0].split("CMD", 1)[1])
        subprocess.run([python, *health[1:]], env=environment, check=True)
        running = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
        assert running[1:3] == ["-m", "gunicorn"], "gunicorn is process 1, which gets the signals"
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert 0 < answer["predictions"][0]["probability"] < 1
    assert process.returncode == 0, output
    assert sorted(str(path) for path in image.rglob("*")) == before, "it wrote into its image"


def entry_point() -> list[str]:
    """Return the arguments of the image's Python; the exec form starts no shell."""
    python, *arguments = json.loads(instructions("serve", "ENTRYPOINT")[0])
    assert python == "python"
    return [str(argument) for argument in arguments]


@pytest.mark.parametrize("arguments", [["train"], ["serve", "--workers=4"], ["sh"]])
def test_another_argument_is_refused(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *entry_point(), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "`serve`" in done.stderr and "Traceback" not in done.stderr


def post(address: str, content: Any, process: subprocess.Popen[str]) -> Any:
    request = urllib.request.Request(
        address, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    for _ in range(200):
        if process.poll() is not None:
            raise AssertionError(process.communicate()[0])
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return json.load(response)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the service never answered")


def test_stages() -> None:
    instructions_by_stage = stages()
    assert list(instructions_by_stage) == ["train", "trained", "serve", "baked"]
    assert instructions("serve", "USER") == ["10001"]
    assert "requirements.txt" not in " ".join(
        instructions("serve", "COPY") + instructions("serve", "RUN")
    )
    assert instructions("baked", "COPY") == ["--from=trained /srv/artifacts/cleveland /models"]
    assert instructions("trained", "RUN") == ["python -m pipelines train"]
    for stage in instructions_by_stage:
        for copy in instructions(stage, "COPY"):
            for source in [s for s in copy.split()[:-1] if not copy.startswith("--from")]:
                assert (ROOT / source).exists(), f"{stage} copies {source}, which does not exist"


def test_the_compose_file_fits_the_dockerfile_and_reserves_a_gpu() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    serve, train = services["serve"], services["train"]
    for service in (serve, train):
        assert service["build"]["target"] in stages()
    assert serve["read_only"] is True
    assert "models:/models:ro" in serve["volumes"] and "models:/models" in train["volumes"]
    assert train["profiles"] == ["train"] and "profiles" not in serve
    (device,) = train["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    requirements = train["build"]["args"]["REQUIREMENTS"]
    assert requirements in instructions("train", "COPY")[0]
    name, *options = [re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in train["command"]]
    parameters = main.commands[name].make_context(name, options).params
    assert parameters["device"] == "gpu"
    assert (parameters["store"], parameters["data"]) == (
        Path("/models"),
        Path("/data/cleveland.csv"),
    )


def test_the_ignore_file_includes_the_copied_files() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    for stage in ("train", "serve"):
        for copy in instructions(stage, "COPY"):
            for source in copy.split()[:-1]:
                assert source in allowed or (
                    source.startswith("requirements") and "requirements*.txt" in allowed
                )
