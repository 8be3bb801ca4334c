"""The fast path and Flask's dispatch respond alike: status, headers and body."""

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
    """Yield valid requests, and an invalid one of every known kind."""
    valid = json.dumps(record).encode()

    def with_age(text: str) -> bytes:
        return json.dumps({**record, "age": 54321}).replace("54321", text).encode()

    bodies: list[Any] = [
        record,
        [record, record],
        {"instances": [record]},
        {"instances": [record], "explain": False},
        {**record, "ca": None},
        {**record, "age": 90},
        {},
        [],
        3,
        None,
        "text",
        [3, [1]],
        {"instances": []},
        {"instances": 3},
        {"instances": [record], "other": 1},
        {"instances": [record], "explain": 1},
        {**record, "fbs": True},
        {**record, "slope": 1.5},
        {**record, "agee": 1},
        {**record, "thal": "fixd"},
        dict.fromkeys(record),
        {"instances": [record], "interval": True},
        {"instances": [record, record], "interval": False},
        {"explain": False, "interval": True, "instances": [{**record, "ca": None}] * 2},
        {"instances": [record], "interval": 1},
        {"instances": [record] * 21, "interval": True},
        {**record, "interval": True},
        {"instances": [{**record, "age": 0}], "interval": True},
        [record] * 21,
        {k: v for k, v in record.items() if k != "thal"},
    ]
    raw = [
        *(json.dumps(body).encode() for body in bodies),
        *(with_age(text) for text in ("NaN", "Infinity", "1e400", '"63"', "true", "[" * 5_000)),
        valid[:-1] + b', "age": 54}',
        b'{"age": 63,',
        b"",
        b"  \n",
        b'{"age": "\xff\xfe"}',
        b"[" * 5_000 + b"]" * 5_000,
        b" " * 20_000,
        b'{"instances": [' + valid + b'], "interval": true, "interval": true}',
    ]
    yield from ({"data": body, "headers": JSON} for body in raw)
    for media_type in ("text/csv", "application/x-www-form-urlencoded", "", "application/jsonp"):
        yield {"data": valid, "headers": {"Content-Type": media_type}}
    yield {"data": valid, "headers": {"Content-Type": "Application/JSON; charset=utf-8"}}
    compressed = gzip.compress(valid)
    for body, coding in (
        (compressed, "gzip"),
        (compressed[:-5], "gzip"),
        (valid, "gzip"),
        (valid, "br"),
        (gzip.compress(b" " * 1_000_000), "gzip"),
    ):
        yield {"data": body, "headers": {**JSON, "Content-Encoding": coding}}
    for request_id in ("abc-1", "x" * 65, "a b", "täg"):
        yield {"data": valid, "headers": {**JSON, "X-Request-ID": request_id}}


def responses(
    client: FlaskClient, record: dict[str, Any], headers: dict[str, str]
) -> list[tuple[Any, ...]]:
    results = []
    for request in requests(record):
        sent = {"X-Request-ID": "same", **headers, **request["headers"]}
        response = client.post("/predict", data=request["data"], headers=sent)
        other_headers = {k: v for k, v in response.headers.items() if k != "X-Request-ID"}
        body = response.get_data().replace(response.headers["X-Request-ID"].encode(), b"ID")
        keeps_id = response.headers["X-Request-ID"] == sent["X-Request-ID"]
        results.append((response.status, other_headers, body, keeps_id))
    return results


@pytest.mark.parametrize("keys", ["none", "none sent", "unknown", "without the scope", "right"])
def test_both_paths_respond_alike(trained: Store, record: dict[str, Any], keys: str) -> None:
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
        responses(create_app(settings, fast_path=fast_path).test_client(), record, sent)
        for fast_path in (True, False)
    )
    assert fast == slow
    statuses = {status[:3] for status, *_ in fast}
    if keys in ("none", "right"):
        assert statuses == {"200", "400", "413", "415", "422"}
    else:
        assert statuses == {"403" if keys == "without the scope" else "401"}


def test_both_paths_are_compared(trained: Store, record: dict[str, Any]) -> None:
    """Only the slow path runs Flask's hooks."""
    for fast_path in (True, False):
        app = create_app(Settings(model_store=trained.folder), fast_path=fast_path)
        dispatched: list[int] = []
        app.before_request(lambda calls=dispatched: calls.append(1))
        assert app.test_client().post("/predict", json=record).status_code == 200
        assert bool(dispatched) is not fast_path


def test_without_a_model_both_paths_respond_alike(tmp_path: Any, record: dict[str, Any]) -> None:
    settings = Settings(model_store=tmp_path)
    fast, slow = (
        create_app(settings, fast_path=fast_path)
        .test_client()
        .post("/predict", json=record, headers={"X-Request-ID": "same"})
        for fast_path in (True, False)
    )
    assert fast.status_code == 503
    assert (fast.status, dict(fast.headers), fast.data) == (
        slow.status,
        dict(slow.headers),
        slow.data,
    )
