"""Tests of the licence, the policies and the citation."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def citation() -> Any:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text())


def test_the_licence_is_complete_and_declared(project: Any) -> None:
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    text = (ROOT / "LICENSE").read_text()
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    sections = re.findall(r"^   (\d+)\. [A-Z]", text, re.M)
    assert sections == [str(number) for number in range(1, 10)]
    assert text.rstrip().endswith("END OF TERMS AND CONDITIONS")


@pytest.mark.parametrize(
    ("file", "sections"),
    [
        (
            "SECURITY.md",
            ["Supported versions", "Reporting a vulnerability", "What to expect", "In scope"],
        ),
        ("CONTRIBUTING.md", ["Set up", "Test", "Release"]),
    ],
)
def test_a_policy_has_its_sections_and_is_linked(file: str, sections: list[str]) -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / file).read_text(), re.M)
    assert set(sections) <= set(headings)
    assert f"]({file})" in (ROOT / "README.md").read_text()


def test_the_guide_names_existing_make_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text()))
    assert {"test-fast", "test", "check", "check-slow"} <= named <= targets


def test_the_citation_has_the_keys_that_the_format_requires(citation: Any, project: Any) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert all(citation[key] for key in ("message", "title", "authors"))
    assert citation["type"] == "software"
    assert str(citation["version"]) == project["version"]
    assert citation["license"] == project["license"]
    assert citation["abstract"] == project["description"]
    assert citation["authors"] == [{"name": "The tabular-prediction-service developers"}]


def test_the_citation_refers_to_the_data_set(citation: Any) -> None:
    article, data = citation["references"]
    for reference in (article, data):
        assert all(reference[key] for key in ("type", "title", "authors", "year", "doi"))
    assert article["authors"][0]["family-names"] == "Detrano" and article["year"] == 1989
    assert data["license"] == "CC-BY-4.0"
    assert f"https://doi.org/{data['doi']}" in (ROOT / "data/README.md").read_text()


def test_the_commits_that_git_blame_ignores_are_named_in_full() -> None:
    """git refuses the whole file for one line that is neither a comment nor a full hash."""
    lines = (ROOT / ".git-blame-ignore-revs").read_text().splitlines()
    for line in filter(None, lines):
        assert line.startswith("# ") or re.fullmatch(r"[0-9a-f]{40}", line), line
    assert "blame.ignoreRevsFile .git-blame-ignore-revs" in (ROOT / "CONTRIBUTING.md").read_text()
