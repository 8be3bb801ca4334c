"""The compatibility promise of docs/compatibility.md: recorded requests and their responses.

``contract.json`` records what clients rely on. Entries are added and never changed. A response may
have more members than recorded. ``<string>``, ``<probability>``, ``<number>`` and ``<label>`` stand
for any value of that kind, and every other value for itself.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from app import Settings, create_app
from app.web import PROBLEM_TYPES
from model.artifacts import Store
from model.errors import PROBLEM_CODES
from tests.conftest import ROOT

CONTRACT = json.loads((ROOT / "tests/unit/app/contract.json").read_text())
EXCHANGES = {exchange["name"]: exchange for exchange in CONTRACT["exchanges"]}


def differences(recorded: Any, actual: Any, where: str = "answer") -> list[str]:
    """Return the differences between a recorded and an actual response; ignore further keys."""
    if recorded == "<string>":
        kept = isinstance(actual, str) and actual != ""
    elif recorded == "<probability>":
        kept = isinstance(actual, float) and 0 <= actual <= 1
    elif recorded == "<number>":
        kept = isinstance(actual, float)
    elif recorded == "<label>":
        kept = actual in ("disease", "no disease")
    elif isinstance(recorded, dict):
        if not isinstance(actual, dict):
            return [f"{where} is not an object any more"]
        gone = [f"{where}.{name} is gone" for name in recorded if name not in actual]
        both = [name for name in recorded if name in actual]
        return gone + [d for n in both for d in differences(recorded[n], actual[n], f"{where}.{n}")]
    elif isinstance(recorded, list) and isinstance(actual, list) and len(recorded) == len(actual):
        pairs = enumerate(zip(recorded, actual, strict=True))
        return [d for i, (old, new) in pairs for d in differences(old, new, f"{where}[{i}]")]
    else:
        kept = recorded == actual and isinstance(recorded, bool) is isinstance(actual, bool)
    return [] if kept else [f"{where} was {recorded!r} and is {actual!r}"]


@pytest.mark.parametrize("name", EXCHANGES)
def test_every_recorded_response_is_kept(trained: Store, name: str) -> None:
    exchange = EXCHANGES[name]
    settings = Settings(model_store=trained.folder, **exchange.get("settings", {}))
    client = create_app(settings).test_client()
    body = exchange["raw"] if "raw" in exchange else json.dumps(exchange.get("body"))
    response = client.open(
        exchange["path"], method=exchange["method"], headers=exchange["headers"], data=body
    )
    assert response.status_code == exchange["status"], response.text
    assert response.mimetype == exchange["media_type"]
    for header, value in exchange.get("answer_headers", {}).items():
        assert response.headers[header] == value
    assert differences(exchange["answer"], response.get_json()) == []


def test_every_recorded_problem_type_keeps_its_status() -> None:
    for code, status in CONTRACT["kinds"].items():
        assert PROBLEM_TYPES[code].status == status


def test_every_code_of_a_record_problem_is_recorded() -> None:
    """A renamed code must fail a test. ``wrong_length`` occurs only in other protocols."""
    codes = set(PROBLEM_CODES) - {"wrong_length"}
    recorded = {
        problem["code"]
        for exchange in EXCHANGES.values()
        for problem in exchange["answer"].get("errors", [])
    }
    assert codes and codes <= recorded


@pytest.mark.parametrize(
    ("actual", "difference"),
    [
        ({"a": "x", "b": 0.5, "c": [True]}, None),
        ({"a": "x", "b": 0.5, "c": [True], "new": 1}, None),
        ({"a": "x", "b": 0.5}, "answer.c is gone"),
        ({"a": 3, "b": 0.5, "c": [True]}, "answer.a was"),
        ({"a": "x", "b": "0.5", "c": [True]}, "answer.b was"),
        ({"a": "x", "b": 0.5, "c": [1]}, r"answer.c\[0\] was"),
        ({"a": "x", "b": 0.5, "c": []}, "answer.c was"),
        ([], "answer is not an object"),
    ],
)
def test_differences(actual: Any, difference: str | None) -> None:
    recorded = {"a": "<string>", "b": "<probability>", "c": [True]}
    broken = differences(recorded, actual)
    assert (broken == []) if difference is None else re.match(difference, broken[0])
