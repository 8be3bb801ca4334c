"""The fast road and Flask's dispatch answer alike: status, headers and body, good and bad."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import Settings, create_app
from app.api_keys import new_entry
from model.artifacts import Store

Request = dict[str, Any]
JSON = {"Content-Type": "application/json"}


def requests(record: dict[str, Any]) -> Iterator[Request]:
    """Good ones, and every bad one that the service is known to get."""
    good = json.dumps(record).encode()

    def with_age(text: str) -> bytes:
        return json.dumps({**record, "age": 54321}).replace("54321", text).encode()

    bodies: list[Any] = [
        record, [record, record], {"instances": [record]}, {"instances": [record], "explain": False},
        {**record, "ca": None}, {**record, "age": 90}, {}, [], 3, None, "text", [3, [1]],
        {"instances": []}, {"instances": 3}, {"instances": [record], "other": 1},
        {"instances": [record], "explain": 1}, {**record, "fbs": True}, {**record, "slope": 1.5},
        {**record, "agee": 1}, {**record, "thal": "fixd"}, dict.fromkeys(record),
        {"instances": [record], "interval": True}, {"instances": [record, record], "interval": False},
        {"explain": False, "interval": True, "instances": [{**record, "ca": None}] * 2},
        {"instances": [record], "interval": 1}, {"instances": [record] * 21, "interval": True},
        {**record, "interval": True}, {"instances": [{**record, "age": 0}], "interval": True},
        [record] * 21, {k: v for k, v in record.items() if k != "thal"},
    ]  # fmt: skip
    raw = [
        *(json.dumps(body).encode() for body in bodies),
        *(with_age(text) for text in ("NaN", "Infinity", "1e400", '"63"', "true", "[" * 5_000)),
        good[:-1] + b', "age": 54}', b'{"age": 63,', b"", b"  \n", b'{"age": "\xff\xfe"}',
        b"[" * 5_000 + b"]" * 5_000, b" " * 20_000,
        b'{"instances": [' + good + b'], "interval": true, "interval": true}',
    ]  # fmt: skip
    yield from ({"data": body, "headers": JSON} for body in raw)
    for kind in ("text/csv", "application/x-www-form-urlencoded", "", "application/jsonp"):
        yield {"data": good, "headers": {"Content-Type": kind}}
    yield {"data": good, "headers": {"Content-Type": "Application/JSON; charset=utf-8"}}
    packed = gzip.compress(good)
    for body, coding in (
        (packed, "gzip"), (packed[:-5], "gzip"), (good, "gzip"), (good, "br"),
        (gzip.compress(b" " * 1_000_000), "gzip"),
    ):  # fmt: skip
        yield {"data": body, "headers": {**JSON, "Content-Encoding": coding}}
    for given in ("abc-1", "x" * 65, "a b", "täg"):
        yield {"data": good, "headers": {**JSON, "X-Request-ID": given}}


def answers(
    client: FlaskClient, record: dict[str, Any], headers: dict[str, str]
) -> list[tuple[Any, ...]]:
    found = []
    for asked in requests(record):
        given = {"X-Request-ID": "same", **headers, **asked["headers"]}
        response = client.post("/predict", data=asked["data"], headers=given)
        kept = {k: v for k, v in response.headers.items() if k != "X-Request-ID"}
        body = response.get_data().replace(response.headers["X-Request-ID"].encode(), b"ID")
        given_back = response.headers["X-Request-ID"] == given["X-Request-ID"]
        found.append((response.status, kept, body, given_back))
    return found


@pytest.mark.parametrize("keys", ["none", "none sent", "unknown", "without the scope", "right"])
def test_both_roads_answer_alike(trained: Store, record: dict[str, Any], keys: str) -> None:
    key, entry = new_entry("ward", ["explain" if keys == "without the scope" else "predict"])
    sent = {"none": {}, "none sent": {}, "unknown": {"X-API-Key": "nobody"}}.get(
        keys, {"Authorization": f"Bearer {key}"}
    )
    settings = Settings(
        model_store=trained.folder,
        max_body_bytes=15_000,
        max_records=20,
        api_keys="" if keys == "none" else entry,
    )
    fast, slow = (
        answers(create_app(settings, fast_path=fast_path).test_client(), record, sent)
        for fast_path in (True, False)
    )
    assert fast == slow
    statuses = {status[:3] for status, *_ in fast}
    if keys in ("none", "right"):
        assert statuses == {"200", "400", "413", "415", "422"}
    else:
        assert statuses == {"403" if keys == "without the scope" else "401"}


def test_both_roads_are_taken(trained: Store, record: dict[str, Any]) -> None:
    """Otherwise the comparison would compare one road with itself."""
    for fast_path in (True, False):
        app = create_app(Settings(model_store=trained.folder), fast_path=fast_path)
        dispatched: list[int] = []
        app.before_request(lambda seen=dispatched: seen.append(1))
        assert app.test_client().post("/predict", json=record).status_code == 200
        assert bool(dispatched) is not fast_path


def test_a_model_that_is_not_there(tmp_path: Any, record: dict[str, Any]) -> None:
    settings = Settings(model_store=tmp_path)
    fast, slow = (
        create_app(settings, fast_path=fast_path).test_client().post(
            "/predict", json=record, headers={"X-Request-ID": "same"}
        )
        for fast_path in (True, False)
    )  # fmt: skip
    assert fast.status_code == 503
    assert (fast.status, dict(fast.headers), fast.data) == (
        slow.status, dict(slow.headers), slow.data,
    )  # fmt: skip
