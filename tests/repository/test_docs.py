"""Agreement of the documents with the code."""

from __future__ import annotations

import ast
import dataclasses
import re
import tomllib
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from app import Settings
from app.factory import ROUTES
from app.protocols import PROTOCOLS
from app.routing import ForeignProtocol, Route
from app.web import AUTHENTICATED, PROBLEM_TYPES, PUBLIC
from model.errors import ProblemCode
from model.schema import Schema
from model.training import FIELD_TYPES, TrainingConfig
from model.training.config import allowed_literals
from tests.conftest import ROOT
from tests.repository.test_monitoring import METRICS


def table_rows(text: str) -> dict[str, list[str]]:
    """Return the rows of every table of a page, by their first cell without its backquotes."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    rows = table_rows((ROOT / "docs/settings.md").read_text())
    settings = dataclasses.fields(Settings)
    assert set(rows) - {"variable", "---"} == {setting.name.upper() for setting in settings}
    for setting in settings:
        assert rows[setting.name.upper()] == [default_text(setting), setting.metadata["meaning"]]


def default_text(setting: dataclasses.Field[Any]) -> str:
    """Return a default as an environment variable would have it."""
    default = setting.default
    if default in (None, "", dataclasses.MISSING):
        return ""
    return f"`{','.join(default) if isinstance(default, tuple) else default}`"


def test_every_training_setting_is_documented_with_its_default() -> None:
    rows = table_rows((ROOT / "docs/training.md").read_text())
    defaults = msgspec.structs.asdict(TrainingConfig())
    assert set(rows) - {"choice", "---"} == set(defaults)
    for name, default in defaults.items():
        text = ",".join(map(str, default)) if isinstance(default, tuple) else f"{default}"
        assert rows[name][0] in {text, f"{default:g}" if isinstance(default, float) else text}
        for word in allowed_literals(FIELD_TYPES[name]):
            assert word in rows[name][1], f"{name}: {word}"


def test_every_column_is_documented_with_its_unit_or_codes(schema: Schema) -> None:
    rows = table_rows((ROOT / "data/README.md").read_text())
    for column in schema.columns:
        meaning, unit_or_codes = rows[column.name]
        assert meaning
        if column.unit:
            assert unit_or_codes == column.unit
        # The two columns with codes of the recoded release list those of the bundled table only.
        for level in column.levels:
            if "TensorFlow" not in level.label:
                numbers = [int(n) for n in re.findall(r"\d+", unit_or_codes)]
                assert min(numbers) <= level.code <= max(numbers), column.name
    assert schema.outcome.column in rows


def test_every_problem_type_is_documented() -> None:
    text = (ROOT / "docs/api.md").read_text()
    for code, (status, _, _) in PROBLEM_TYPES.items():
        assert re.search(rf"\| {status} \|[^|]*`{code}`", text), code


def test_every_code_of_a_problem_is_documented() -> None:
    text = (ROOT / "docs/api.md").read_text()
    for code in get_args(ProblemCode):
        assert f"`{code}`" in text, code


def test_every_error_has_a_remedy() -> None:
    """docs/errors.md has every problem type and every code of a record, and no other code."""
    text = (ROOT / "docs/errors.md").read_text()
    types, codes = (table_rows(half) for half in text.split("## Codes of single records"))
    assert set(types) - {"code", "---"} == set(PROBLEM_TYPES)
    for code, (status, _, _) in PROBLEM_TYPES.items():
        documented_status, cause, _, remedy = types[code]
        assert documented_status == str(status) and cause and remedy, code
    assert set(codes) - {"code", "---"} == set(get_args(ProblemCode))
    for code, cells in codes.items():
        assert all(cells), code


@pytest.mark.parametrize("protocol", [None, *PROTOCOLS], ids=lambda p: p.slug if p else "our own")
def test_the_tables_of_routes_follow_from_the_declarations(
    protocol: ForeignProtocol | None,
) -> None:
    table = route_table([route for route in ROUTES if route.protocol is protocol])
    assert table in (ROOT / "docs/api.md").read_text(), f"docs/api.md needs this table:\n\n{table}"


def route_table(routes: Iterable[Route]) -> str:
    """Return the table of routes, with a row for each handler."""
    keys = {PUBLIC: "none", AUTHENTICATED: "any"}
    lines = ["| route | key | summary |", "| --- | --- | --- |"]
    for handler, group in groupby(routes, lambda route: route.handler):
        declared = list(group)
        paths = "<br>".join(
            f"`{route.method} {route.documented_path}`"
            if route.path
            else f"`{route.method}` on `{route.path_setting.upper()}`"
            for route in declared
        )
        scopes = {route.scope for route in declared}
        assert len(scopes) == 1, f"{handler} has routes with several scopes"
        (scope,) = scopes
        key = keys.get(scope, f"`{scope}`")
        lines.append(f"| {paths} | {key} | {declared[0].summary.removesuffix('.')} |")
    return "\n".join(lines) + "\n"


def test_every_metric_is_documented_with_its_labels() -> None:
    rows = table_rows((ROOT / "docs/api.md").read_text())
    documented = {
        name: set(re.findall(r"`(\w+)`", cells[0]))
        for name, cells in rows.items()
        if name.startswith("tabular_")
    }
    assert documented == {name: labels for name, (_, labels) in METRICS.items()}


def test_every_direct_dependency_is_pinned_and_justified() -> None:
    reasons = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    constraints = (ROOT / "constraints.txt").read_text().lower()
    for name in ("requirements-serve.txt", "requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and line[0] not in "#-":
                package, version = line.split("==")
                assert re.search(rf"\b{package}\b", reasons), f"{package} is not justified"
                assert f"{package}=={version}\n" in constraints, f"{package} is not constrained"


def test_every_package_of_a_peer_is_pinned_and_justified_and_not_installed_here() -> None:
    reasons = (ROOT / "docs/decisions/0002-dependencies.md").read_text().lower()
    own_constraints = (ROOT / "constraints.txt").read_text().lower()
    files = sorted((ROOT / "bench/peers").glob("*/requirements.txt"))
    assert len(files) == 5
    for file in files:
        for line in file.read_text().splitlines():
            if line[0] not in "#-":
                package, version = re.sub(r"\[.*\]", "", line).lower().split("==")
                assert re.search(rf"\b{package}\b", reasons), f"{package} is not justified"
                if package not in ("numpy", "onnxruntime", "uvicorn"):
                    assert f"\n{package}==" not in own_constraints, (
                        f"{package} is a peer's, not the service's"
                    )
                else:
                    assert f"\n{package}=={version}\n" in own_constraints, (
                        f"{package} differs from ours"
                    )
                constraints = file.with_name("constraints.txt")
                pinned = constraints.read_text().lower() if constraints.exists() else line
                assert f"{package}=={version}" in pinned


def test_the_page_on_the_report_lists_the_sections_of_the_report() -> None:
    titles = {
        node.args[1].value
        for path in (ROOT / "pipelines/report").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Section"
        if isinstance(node.args[1], ast.Constant)
    }
    rows = table_rows((ROOT / "docs/report.md").read_text())
    assert set(rows) - {"section", "---"} == titles


PAGES = [*ROOT.glob("*.md"), ROOT / "data/README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."} - {
    "artifacts"
}
"""The folders at the top of the repository; artifacts/ is created by training."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]+))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name} links to {target}, which does not exist"
        if anchor:
            assert anchor in heading_anchors(file), f"{page.name} links to {target}#{anchor}"


def heading_anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_code_exists(page: Path) -> None:
    """Paths are relative to the repository; ``*`` stands for any name, as in a shell."""
    for path in paths_in_code(page.read_text()):
        assert any(ROOT.glob(path)), f"{page.name} names {path}, which does not exist"


def paths_in_code(text: str) -> list[str]:
    """Return the paths in backquotes and code blocks that begin with a folder of the repository."""
    code = re.findall(r"^```.*?^```|^ {4}.*?$|`[^`\n]+`", text, re.M | re.S)
    path = rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*[\w*]"
    return [match for span in code for match in re.findall(path, span)]


@pytest.mark.parametrize("package", ["app", "model", "pipelines"])
def test_the_architecture_shows_the_layers_of_import_linter(package: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (
        contract["layers"]
        for contract in contracts["contracts"]
        if contract.get("containers") == [package]
    )
    diagram = (ROOT / "docs/architecture.md").read_text().split("```")[1]
    subgraphs = re.findall(
        rf'subgraph (?:{package}|\w+\["{package}: .*?)\n(.*?)\n  end', diagram, re.S
    )
    labels = re.findall(r'\["(.+?)"\]', "\n".join(subgraphs))
    drawn_layers = [set(label.split(", ")) for label in labels]
    assert drawn_layers == [set(layer.split(" | ")) for layer in layers]
