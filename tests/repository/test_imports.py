"""The rooms and who may import whom, as the design draws them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("app", "model", "pipelines")
HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "joblib", "tqdm", "torch", "jax", "onnx"}
# What serves; everything that these import from their room is among them.
SERVING = {
    *("schema", "origins", "columns", "records", "faultless", "record_type"),
    *("strict_json", "errors"),
    *("artifact", "manifest", "store", "scoring", "remarks"),
    *("explanation", "shapley", "folding", "dense", "encoding", "conditional", "incomplete"),
    *("intervals", "stretching"),
}


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where it goes"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [("model", {"app", "pipelines"}), ("pipelines", {"app"}), ("app", {"pipelines"})],
)
def test_no_room_imports_one_that_it_may_not(room: str, forbidden: set[str]) -> None:
    for path in files(room):
        reached = {name.split(".")[0] for name in imported(path)} & forbidden
        assert not reached, f"{path.relative_to(ROOT)} imports {reached}"


def test_app_takes_from_model_only_what_serves() -> None:
    for path in files("app"):
        modules = {name.split(".")[1] for name in imported(path) if name.startswith("model.")}
        assert modules <= SERVING, f"{path.relative_to(ROOT)} imports {modules - SERVING}"


def test_what_serves_imports_nothing_heavy() -> None:
    for path in [*files("app"), *(ROOT / "model" / f"{name}.py" for name in SERVING)]:
        names = imported(path)
        assert not {name.split(".")[0] for name in names} & HEAVY, path
        modules = {name.split(".")[1] for name in names if name.startswith("model.")}
        assert modules <= SERVING, f"{path.relative_to(ROOT)} reaches beyond what serves"


def test_only_one_file_names_keras_layers() -> None:
    """Dense and its like; graph.py defines the layer that encodes."""
    named = {
        path.name
        for room in ROOMS
        for path in files(room)
        if "layers.Dense" in path.read_text() or "layers.Dropout" in path.read_text()
    }
    assert named == {"network.py"}


def test_backends_are_named_where_keras_has_no_operation() -> None:
    """Gradients, compiling and devices; everything else runs on whichever is chosen."""
    named = {
        path.name
        for room in ROOMS
        for path in files(room)
        if {"tensorflow", "jax", "torch"} & {name.split(".")[0] for name in imported(path)}
    }
    assert named == {"backend.py", "devices.py"}  # what is computed on, and where


def test_importing_the_package_does_no_work() -> None:
    """Neither ONNX Runtime nor any backend is loaded before somebody asks for it."""
    program = (
        "import sys, app.wsgi; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {*HEAVY, "onnxruntime"}
    assert {"flask", "msgspec", "numpy"} <= loaded
