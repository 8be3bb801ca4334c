"""The documents say what the code does."""

from __future__ import annotations

import dataclasses
import re

from app import Settings
from app.errors import KINDS
from model.schema import Schema
from tests.conftest import ROOT


def table_rows(text: str) -> dict[str, list[str]]:
    """The rows of every table of a page, by their first cell without its backquotes."""
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
        assert rows[setting.name.upper()] == [f"`{setting.default}`", setting.metadata["meaning"]]


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


def test_every_kind_of_problem_is_documented() -> None:
    text = (ROOT / "docs/api.md").read_text()
    for code, (status, _, _) in KINDS.items():
        assert re.search(rf"\| {status} \|[^|]*`{code}`", text), code


def test_every_code_of_a_problem_is_documented() -> None:
    text = (ROOT / "docs/api.md").read_text()
    source = "".join((ROOT / "model" / name).read_text() for name in ("columns.py", "records.py"))
    codes = set(re.findall(r'(?:_problem\(|_key\(|_whole_body\(|code=)\s*"([a-z_]+)"', source))
    assert len(codes) >= 12
    for code in codes:
        assert f"`{code}`" in text, code


def test_every_route_is_documented() -> None:
    from app import create_app

    text = (ROOT / "docs/api.md").read_text()
    for rule in create_app(Settings()).url_map.iter_rules():
        path = rule.rule.replace("<code>", "CODE")
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        assert f"`{method} {path}`" in text


def test_every_direct_dependency_is_pinned_and_justified() -> None:
    reasons = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    constraints = (ROOT / "constraints.txt").read_text().lower()
    for name in ("requirements-serve.txt", "requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and line[0] not in "#-":
                package, version = line.split("==")
                assert re.search(rf"\b{package}\b", reasons), f"{package} is not justified"
                assert f"{package}=={version}\n" in constraints, f"{package} is not constrained"


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
