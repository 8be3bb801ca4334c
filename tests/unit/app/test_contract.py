"""What docs/compatibility.md promises: requests as they were once made, and what must come back.

``contract.json`` is a record of what clients rely on. It grows; whatever stands in it stays. An
answer may hold more than is recorded. ``<string>``, ``<probability>``, ``<number>`` and ``<label>`` stand
for any value of that kind, everything else for itself.
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


def differences(recorded: Any, found: Any, where: str = "answer") -> list[str]:
    """Where an answer breaks the record; more keys than recorded do not."""
    if recorded == "<string>":
        kept = isinstance(found, str) and found != ""
    elif recorded == "<probability>":
        kept = isinstance(found, float) and 0 <= found <= 1
    elif recorded == "<number>":
        kept = isinstance(found, float)
    elif recorded == "<label>":
        kept = found in ("disease", "no disease")
    elif isinstance(recorded, dict):
        if not isinstance(found, dict):
            return [f"{where} is no object any more"]
        gone = [f"{where}.{name} is gone" for name in recorded if name not in found]
        both = [name for name in recorded if name in found]
        return gone + [d for n in both for d in differences(recorded[n], found[n], f"{where}.{n}")]
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        pairs = enumerate(zip(recorded, found, strict=True))
        return [d for i, (one, other) in pairs for d in differences(one, other, f"{where}[{i}]")]
    else:
        kept = recorded == found and isinstance(recorded, bool) is isinstance(found, bool)
    return [] if kept else [f"{where} was {recorded!r} and is {found!r}"]


@pytest.mark.parametrize("name", EXCHANGES)
def test_what_was_promised_is_kept(trained: Store, name: str) -> None:
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


def test_no_kind_of_problem_has_gone_or_changed_its_status() -> None:
    for code, status in CONTRACT["kinds"].items():
        assert PROBLEM_TYPES[code].status == status


def test_the_record_holds_every_code_of_a_problem_of_a_record() -> None:
    """So that none can be renamed unnoticed. Of columns of unequal length only protocols speak."""
    codes = set(PROBLEM_CODES) - {"wrong_length"}
    recorded = {
        problem["code"]
        for exchange in EXCHANGES.values()
        for problem in exchange["answer"].get("errors", [])
    }
    assert codes and codes <= recorded


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"a": "x", "b": 0.5, "c": [True]}, None),
        ({"a": "x", "b": 0.5, "c": [True], "new": 1}, None),
        ({"a": "x", "b": 0.5}, "answer.c is gone"),
        ({"a": 3, "b": 0.5, "c": [True]}, "answer.a was"),
        ({"a": "x", "b": "0.5", "c": [True]}, "answer.b was"),
        ({"a": "x", "b": 0.5, "c": [1]}, r"answer.c\[0\] was"),
        ({"a": "x", "b": 0.5, "c": []}, "answer.c was"),
        ([], "answer is no object"),
    ],
)
def test_what_breaks_the_record(found: Any, said: str | None) -> None:
    recorded = {"a": "<string>", "b": "<probability>", "c": [True]}
    broken = differences(recorded, found)
    assert (broken == []) if said is None else re.match(said, broken[0])
