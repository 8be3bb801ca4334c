from __future__ import annotations

import json
import logging
import shutil
from typing import Any

import jsonschema
import msgspec
import pytest
from flask.testing import FlaskClient

from app import Settings, create_app
from app.api_keys import new_entry
from model.artifacts import Artifact, Store
from model.artifacts.artifact import write_artifact
from model.inference import Interval, IntervalEstimator
from tests.conftest import as_before

ASKING = {"interval": True}


def test_every_answer_holds_its_own_interval(client: FlaskClient, record: dict[str, Any]) -> None:
    records = [{**record, "age": age} for age in (40, 70)] + [{**record, "ca": None, "thal": None}]
    plain = client.post("/predict", json={"instances": records}).get_json()
    found = client.post("/predict", json={"instances": records, **ASKING}).get_json()
    intervals = [prediction.pop("interval") for prediction in found["predictions"]]
    assert found == plain
    for prediction, interval in zip(plain["predictions"], intervals, strict=True):
        assert list(interval) == ["low", "high", "level", "kind"]
        assert 0 < interval["low"] <= prediction["probability"] <= interval["high"] < 1
        assert interval["low"] < interval["high"]
        assert (interval["level"], interval["kind"]) == (0.9, "sampling uncertainty")
    for alone, interval in zip(records, intervals, strict=True):
        content = client.post("/predict", json={"instances": [alone], **ASKING}).get_json()
        (prediction,) = content["predictions"]
        assert prediction["interval"] == pytest.approx(interval, abs=1e-5)
    assert len({interval["low"] for interval in intervals}) == len(records)


def test_the_interval_is_that_of_the_probability_that_is_answered(
    client: FlaskClient, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where something is missing, which the graph alone would answer otherwise."""

    def around(self: IntervalEstimator, values: Any, probabilities: Any) -> list[Interval]:
        return [Interval(p, p, 0.9) for p in probabilities.tolist()]

    monkeypatch.setattr(IntervalEstimator, "intervals", around)
    records = [record, {**record, "ca": None, "thal": None, "slope": None}]
    for options in ({}, {"explain": True}):
        content = client.post("/predict", json={"instances": records, **ASKING, **options})
        for prediction in content.get_json()["predictions"]:
            interval = prediction["interval"]
            assert interval["low"] == prediction["probability"] == interval["high"]


def test_where_none_is_asked_for_no_byte_is_another(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    records = [record, {**record, "ca": None}, {**record, "age": 90}]
    for some in (records, records[:1], records[1:2]):
        plain = client.post("/predict", json=some).data
        assert b"interval" not in plain
        for interval in ({}, {"interval": False}, {"interval": False, "explain": False}):
            asked = {"instances": some, **interval}
            assert client.post("/predict", json=asked).data == plain
    assert b"interval" not in client.post("/explain", json=record).data


def test_explanations_and_intervals_stand_side_by_side(
    trained: Store, record: dict[str, Any]
) -> None:
    settings = Settings(model_store=trained.folder, predict_route="/v1/ask")
    client = create_app(settings).test_client()
    records = [record, {**record, "chol": None}]

    def parts(path: str, **options: Any) -> list[dict[str, Any]]:
        content = client.post(path, json={"instances": records, **options}).get_json()
        found: list[dict[str, Any]] = content["predictions"]
        return found

    intervals = parts("/predict", interval=True)
    explanations = parts("/explain")
    both = [{**one, **other} for one, other in zip(intervals, explanations, strict=True)]
    assert parts("/predict", interval=True, explain=True) == both
    assert parts("/explain", interval=True) == both
    assert parts("/explain", interval=True, explain=False) == both
    assert parts("/v1/ask", interval=True, explain=True, parameters={"any": 1}) == both
    assert parts("/v1/ask", interval=True, parameters=None) == intervals


def test_interval_is_true_or_false(client: FlaskClient, record: dict[str, Any]) -> None:
    values: list[Any] = [1, 0, "true", None, [], {}, 0.9]
    for value in values:
        for path in ("/predict", "/explain"):
            response = client.post(path, json={"instances": [record], "interval": value})
            assert response.status_code == 422
            (error,) = response.get_json()["errors"]
            assert (error["field"], error["code"]) == ("interval", "wrong_type")
    asked = {"instances": [record], "interval": 1, "explain": 1, "intervall": True}
    errors = client.post("/predict", json=asked).get_json()["errors"]
    assert {(error["field"], error["code"]) for error in errors} == {
        ("intervall", "unknown_key"),
        ("explain", "wrong_type"),
        ("interval", "wrong_type"),
    }


def test_inside_a_record_it_is_a_column_that_is_not_known(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    """As with explanations, only beside instances is there room for it."""
    for content in ({**record, **ASKING}, [{**record, **ASKING}]):
        response = client.post("/predict", json=content)
        (error,) = response.get_json()["errors"]
        assert (error["field"], error["code"]) == ("interval", "unknown_column")


def test_a_key_for_predicting_opens_intervals(trained: Store, record: dict[str, Any]) -> None:
    key, entry = new_entry("ward", ["predict"])
    client = create_app(Settings(model_store=trained.folder, api_keys=entry)).test_client()
    headers = {"X-API-Key": key}
    asked = {"instances": [record], **ASKING}
    response = client.post("/predict", json=asked, headers=headers)
    assert response.status_code == 200 and "interval" in response.text
    assert client.post("/predict", json=asked).status_code == 401
    both = client.post("/predict", json={**asked, "explain": True}, headers=headers)
    assert both.status_code == 403


def test_as_many_records_as_are_taken_get_intervals(trained: Store, record: dict[str, Any]) -> None:
    """The limit on explanations is none on intervals."""
    settings = Settings(model_store=trained.folder, max_records=600, max_explained=2)
    client = create_app(settings).test_client()
    response = client.post("/predict", json={"instances": [record] * 600, **ASKING})
    predictions = response.get_json()["predictions"]
    assert len(predictions) == 600
    assert all(p["interval"] == predictions[0]["interval"] for p in predictions[1:255])
    over = client.post("/predict", json={"instances": [record] * 3, **ASKING, "explain": True})
    assert "at most 2 records" in over.get_json()["error"]


def test_a_version_without_members_serves_and_says_so(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    asked = {"instances": [record], **ASKING}
    before = create_app(Settings(model_store=store.folder)).test_client()
    assert before.get("/model").get_json()["capabilities"] == {"explain": True, "interval": True}
    plain = before.post("/predict", json=record).data
    as_before(artifact, "members.json")
    client = create_app(Settings(model_store=store.folder)).test_client()
    assert client.get("/model").get_json()["capabilities"] == {"explain": True, "interval": False}
    assert client.post("/predict", json=record).data == plain
    assert client.post("/predict", json={**asked, "interval": False}).data == plain
    counted = 'tabular_records_total{version="1"} 2.0'
    assert counted in client.get("/metrics").text
    for path in ("/predict", "/explain"):
        response = client.post(path, json=asked)
        assert response.status_code == 501
        assert response.get_json()["type"] == "/problems/no_interval"
        assert "retrain" in response.get_json()["error"]
    assert counted in client.get("/metrics").text, "what was refused was not answered"


def test_its_description_promises_no_intervals(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    def description() -> tuple[dict[str, Any], str]:
        client = create_app(Settings(model_store=store.folder)).test_client()
        document = client.get("/openapi.json").get_json()
        predict = document["paths"]["/predict"]["post"]
        told = json.dumps([predict["requestBody"], predict["responses"]["200"]])
        return document["components"]["schemas"], told

    schemas, told = description()
    assert "with intervals" in told
    assert schemas["Instances"]["properties"]["interval"] == {"type": "boolean"}
    assert schemas["Interval"]["required"] == ["low", "high", "level", "kind"]
    kind = schemas["Interval"]["properties"]["kind"]
    jsonschema.validate("sampling uncertainty", kind)
    assert not jsonschema.Draft202012Validator(kind).is_valid("confidence")
    as_before(artifact, "members.json")
    schemas, told = description()
    assert "with intervals" not in told
    assert "Interval" not in schemas and "interval" not in schemas["Prediction"]["properties"]
    assert schemas["Instances"]["properties"]["interval"]["const"] is False
    assert schemas["InstancesToExplain"]["properties"]["interval"]["const"] is False


def test_members_that_give_other_intervals_do_not_serve(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    """The intervals of the golden rows are held against those that the version was saved with."""
    members = msgspec.json.decode(artifact.files["members.json"])
    members["highs"][0] += 0.01
    files = {**artifact.files, "members.json": msgspec.json.encode(members)}
    shutil.rmtree(artifact.folder)
    write_artifact(artifact.folder, artifact.manifest, files)
    # Once is enough: a thread that opens a graph while the tests end aborts the process.
    settings = Settings(model_store=store.folder, reload_seconds=3_600)
    client = create_app(settings).test_client()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "intervals of the golden rows differ" in response.get_json()["error"]
    assert client.post("/predict", json=record).status_code == 503


def test_no_value_reaches_a_log_by_way_of_intervals(
    client: FlaskClient,
    record: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    marked = "MARKED8151815"
    odd = {**record, "ca": None, "age": 81.51}
    asked: list[dict[str, Any]] = [
        {"instances": [odd], **ASKING},
        {"instances": [odd, {**record, "thal": marked}], **ASKING},
        {"instances": [odd], "interval": marked},
        {"instances": [odd], "interval": {marked: 8151815}},
        {"instances": [odd], marked: True, **ASKING},
        {"instances": marked, **ASKING},
    ]
    statuses = []
    for content in asked:
        for path in ("/predict", "/explain"):
            statuses.append(client.post(path, json=content).status_code)
    assert statuses == [200, 200] + [422] * 10

    def broken(self: IntervalEstimator, values: Any, probabilities: Any) -> None:
        raise RuntimeError(f"{values.tolist()} {probabilities.tolist()}")

    monkeypatch.setattr(IntervalEstimator, "intervals", broken)
    response = client.post("/predict", json=asked[0])
    assert response.status_code == 500
    assert response.get_json()["instance"] in caplog.text
    assert "in intervals" in caplog.text, "the log must say where it happened"
    for told in (caplog.text, response.text):
        assert "8151815" not in told and "81.51" not in told
