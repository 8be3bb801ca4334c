"""Allowed imports of the packages, and modules that a process loads."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("app", "course", "model", "pipelines")
HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "joblib", "tqdm", "torch", "jax", "onnx"}
SERVING = ("schema", "records", "features", "artifacts", "inference")
"""The packages of the model from which the app may import, in addition to its leaves."""
LEAVES = ("errors", "logit", "lazy_imports")


def imported(path: Path) -> set[str]:
    """Return every module that a file imports, anywhere in it, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its target"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh process holds after a statement."""
    program = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def lazy_packages() -> list[Path]:
    """Return the packages that re-export names on first use."""
    inits = (path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py"))
    return sorted(path for path in inits if "lazy_attributes(" in path.read_text())


def test_serving_code_imports_no_heavy_packages() -> None:
    """Imports inside functions count too; sys.modules would not show them."""
    serving = [path for name in SERVING for path in files(f"model/{name}")]
    for path in [*files("app"), *serving, *(ROOT / f"model/{name}.py" for name in LEAVES)]:
        assert not {name.split(".")[0] for name in imported(path)} & HEAVY, path


def test_gunicorns_settings_import_only_serving_code() -> None:
    """import-linter skips the file, because its name holds dots."""
    names = imported(ROOT / "app/gunicorn.conf.py")
    assert not {name.split(".")[0] for name in names} & {*HEAVY, "pipelines", "course"}
    from_model = {name.split(".")[1] for name in names if name.startswith("model.")}
    assert from_model <= {*SERVING, *LEAVES}


@pytest.mark.parametrize("statement", ["import app.wsgi", "import app.server.asgi"])
def test_importing_the_service_does_no_work(statement: str) -> None:
    """Neither ONNX Runtime nor any backend is loaded before a graph is opened."""
    loaded = loaded_by(statement)
    assert not loaded & {*HEAVY, "onnxruntime"}
    modules = {name.split(".")[1] for name in loaded if name.startswith("model.")}
    assert modules <= {*SERVING, *LEAVES}


def test_the_settings_load_neither_flask_nor_the_routes() -> None:
    loaded = loaded_by("import app.settings")
    assert not {name.split(".")[0] for name in loaded} & {"flask", "werkzeug", "onnxruntime"}
    app = {name for name in loaded if name.startswith("app.")}
    assert app == {"app.settings", "app.api_keys", "app.cloud_environment"}


def test_the_command_line_starts_without_a_backend() -> None:
    """A backend looks for its devices once, when it is imported."""
    roots = {name.split(".")[0] for name in loaded_by("import pipelines.__main__")}
    assert not roots & {"tensorflow", "keras", "pandas", "sklearn", "matplotlib", "onnxruntime"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["app.api_keys", "ward", "predict"],
        ["app.server.port_check"],
        ["pipelines", "--help"],
        ["course", "--help"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_starts_without_a_warning(arguments: list[str], free_port: int) -> None:
    """runpy warns about a module that its own package has imported before it is run."""
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", *arguments]
    environment = {**os.environ, "PORT": str(free_port)}
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)


@pytest.mark.parametrize(
    "path", lazy_packages(), ids=lambda path: str(path.parent.relative_to(ROOT))
)
def test_a_lazy_package_exports_what_it_declares(path: Path) -> None:
    """The type checker and the program get the same names, and no name is also a module."""
    declared: set[tuple[str, str]] = set()
    lazy: set[tuple[str, str]] = set()
    package = ".".join(path.parent.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                assert isinstance(statement, ast.ImportFrom)
                declared |= {(str(statement.module), alias.name) for alias in statement.names}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy_attributes":
            modules = ast.literal_eval(node.args[1])
            lazy |= {(f"{package}.{m}", name) for m, names in modules.items() for name in names}
    assert declared == lazy
    for module, name in declared:
        # Once the submodule is imported, the package's attribute of that name is the submodule.
        assert not (path.parent / f"{name}.py").exists(), f"{package}.{name} is a module too"
        assert hasattr(importlib.import_module(module), name)


def test_only_one_file_names_keras_layers() -> None:
    """Dense and Dropout; onnx_graph.py defines the encoding layer."""
    named = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in files(package)
        if "layers.Dense" in path.read_text() or "layers.Dropout" in path.read_text()
    }
    assert named == {"model/training/keras_network.py"}


def test_backends_are_named_where_keras_has_no_operation() -> None:
    """Gradients, compiling and devices; all other code runs on every backend."""
    named = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in files(package)
        if {"tensorflow", "jax", "torch"} & {name.split(".")[0] for name in imported(path)}
    }
    assert named == {"model/training/ensemble/autodiff.py", "pipelines/devices.py"}
