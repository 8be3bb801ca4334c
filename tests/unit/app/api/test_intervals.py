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
from tests.conftest import remove_optional_files

WITH_INTERVAL = {"interval": True}


def test_every_prediction_has_its_interval(client: FlaskClient, record: dict[str, Any]) -> None:
    records = [{**record, "age": age} for age in (40, 70)] + [{**record, "ca": None, "thal": None}]
    plain = client.post("/predict", json={"instances": records}).get_json()
    content_with_intervals = client.post(
        "/predict", json={"instances": records, **WITH_INTERVAL}
    ).get_json()
    intervals = [prediction.pop("interval") for prediction in content_with_intervals["predictions"]]
    assert content_with_intervals == plain
    for prediction, interval in zip(plain["predictions"], intervals, strict=True):
        assert list(interval) == ["low", "high", "level", "kind"]
        assert 0 < interval["low"] <= prediction["probability"] <= interval["high"] < 1
        assert interval["low"] < interval["high"]
        assert (interval["level"], interval["kind"]) == (0.9, "sampling uncertainty")
    for single_record, interval in zip(records, intervals, strict=True):
        content = client.post(
            "/predict", json={"instances": [single_record], **WITH_INTERVAL}
        ).get_json()
        (prediction,) = content["predictions"]
        assert prediction["interval"] == pytest.approx(interval, abs=1e-5)
    assert len({interval["low"] for interval in intervals}) == len(records)


def test_the_interval_is_that_of_the_returned_probability(
    client: FlaskClient, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with missing values, for which the graph has another probability."""

    def around(self: IntervalEstimator, values: Any, probabilities: Any) -> list[Interval]:
        return [Interval(p, p, 0.9) for p in probabilities.tolist()]

    monkeypatch.setattr(IntervalEstimator, "intervals", around)
    records = [record, {**record, "ca": None, "thal": None, "slope": None}]
    for options in ({}, {"explain": True}):
        content = client.post("/predict", json={"instances": records, **WITH_INTERVAL, **options})
        for prediction in content.get_json()["predictions"]:
            interval = prediction["interval"]
            assert interval["low"] == prediction["probability"] == interval["high"]


def test_without_the_option_the_response_is_unchanged(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    records = [record, {**record, "ca": None}, {**record, "age": 90}]
    for batch in (records, records[:1], records[1:2]):
        plain = client.post("/predict", json=batch).data
        assert b"interval" not in plain
        for options in ({}, {"interval": False}, {"interval": False, "explain": False}):
            body = {"instances": batch, **options}
            assert client.post("/predict", json=body).data == plain
    assert b"interval" not in client.post("/explain", json=record).data


def test_explanations_and_intervals_can_be_combined(trained: Store, record: dict[str, Any]) -> None:
    settings = Settings(model_store=trained.folder, predict_route="/v1/ask")
    client = create_app(settings).test_client()
    records = [record, {**record, "chol": None}]

    def parts(path: str, **options: Any) -> list[dict[str, Any]]:
        content = client.post(path, json={"instances": records, **options}).get_json()
        predictions: list[dict[str, Any]] = content["predictions"]
        return predictions

    intervals = parts("/predict", interval=True)
    explanations = parts("/explain")
    both = [
        {**with_interval, **with_explanation}
        for with_interval, with_explanation in zip(intervals, explanations, strict=True)
    ]
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
    body = {"instances": [record], "interval": 1, "explain": 1, "intervall": True}
    errors = client.post("/predict", json=body).get_json()["errors"]
    assert {(error["field"], error["code"]) for error in errors} == {
        ("intervall", "unknown_key"),
        ("explain", "wrong_type"),
        ("interval", "wrong_type"),
    }


def test_in_a_record_interval_is_an_unknown_column(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    """Like explain, interval is an option next to instances only."""
    for content in ({**record, **WITH_INTERVAL}, [{**record, **WITH_INTERVAL}]):
        response = client.post("/predict", json=content)
        (error,) = response.get_json()["errors"]
        assert (error["field"], error["code"]) == ("interval", "unknown_column")


def test_the_scope_predict_includes_intervals(trained: Store, record: dict[str, Any]) -> None:
    key, entry = new_entry("ward", ["predict"])
    client = create_app(Settings(model_store=trained.folder, api_keys=entry)).test_client()
    headers = {"X-API-Key": key}
    body = {"instances": [record], **WITH_INTERVAL}
    response = client.post("/predict", json=body, headers=headers)
    assert response.status_code == 200 and "interval" in response.text
    assert client.post("/predict", json=body).status_code == 401
    both = client.post("/predict", json={**body, "explain": True}, headers=headers)
    assert both.status_code == 403


def test_the_limit_on_explanations_does_not_limit_intervals(
    trained: Store, record: dict[str, Any]
) -> None:
    """Up to max_records records get intervals."""
    settings = Settings(model_store=trained.folder, max_records=600, max_explained=2)
    client = create_app(settings).test_client()
    response = client.post("/predict", json={"instances": [record] * 600, **WITH_INTERVAL})
    predictions = response.get_json()["predictions"]
    assert len(predictions) == 600
    assert all(p["interval"] == predictions[0]["interval"] for p in predictions[1:255])
    over = client.post(
        "/predict", json={"instances": [record] * 3, **WITH_INTERVAL, "explain": True}
    )
    assert "at most 2 records" in over.get_json()["error"]


def test_a_version_without_members_predicts_and_gets_501_for_intervals(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    body = {"instances": [record], **WITH_INTERVAL}
    client_before = create_app(Settings(model_store=store.folder)).test_client()
    assert client_before.get("/model").get_json()["capabilities"] == {
        "explain": True,
        "interval": True,
    }
    plain = client_before.post("/predict", json=record).data
    remove_optional_files(artifact, "members.json")
    client = create_app(Settings(model_store=store.folder)).test_client()
    assert client.get("/model").get_json()["capabilities"] == {"explain": True, "interval": False}
    assert client.post("/predict", json=record).data == plain
    assert client.post("/predict", json={**body, "interval": False}).data == plain
    metric = 'tabular_records_total{version="1"} 2.0'
    assert metric in client.get("/metrics").text
    for path in ("/predict", "/explain"):
        response = client.post(path, json=body)
        assert response.status_code == 501
        assert response.get_json()["type"] == "/problems/no_interval"
        assert "retrain" in response.get_json()["error"]
    assert metric in client.get("/metrics").text, "rejected records are not counted"


def test_the_document_of_a_version_without_members_has_no_intervals(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    def schemas_and_predict() -> tuple[dict[str, Any], str]:
        client = create_app(Settings(model_store=store.folder)).test_client()
        document = client.get("/openapi.json").get_json()
        predict = document["paths"]["/predict"]["post"]
        text = json.dumps([predict["requestBody"], predict["responses"]["200"]])
        return document["components"]["schemas"], text

    schemas, text = schemas_and_predict()
    assert "with intervals" in text
    assert schemas["Instances"]["properties"]["interval"] == {"type": "boolean"}
    assert schemas["Interval"]["required"] == ["low", "high", "level", "kind"]
    kind = schemas["Interval"]["properties"]["kind"]
    jsonschema.validate("sampling uncertainty", kind)
    assert not jsonschema.Draft202012Validator(kind).is_valid("confidence")
    remove_optional_files(artifact, "members.json")
    schemas, text = schemas_and_predict()
    assert "with intervals" not in text
    assert "Interval" not in schemas and "interval" not in schemas["Prediction"]["properties"]
    assert schemas["Instances"]["properties"]["interval"]["const"] is False
    assert schemas["InstancesToExplain"]["properties"]["interval"]["const"] is False


def test_a_version_with_other_golden_intervals_is_not_loaded(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    """The intervals of the golden rows must equal those saved with the version."""
    members = msgspec.json.decode(artifact.files["members.json"])
    members["highs"][0] += 0.01
    files = {**artifact.files, "members.json": msgspec.json.encode(members)}
    shutil.rmtree(artifact.folder)
    write_artifact(artifact.folder, artifact.manifest, files)
    # No reload: a thread that opens a graph while the tests end aborts the process.
    settings = Settings(model_store=store.folder, reload_seconds=3_600)
    client = create_app(settings).test_client()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "intervals of the golden rows differ" in response.get_json()["error"]
    assert client.post("/predict", json=record).status_code == 503


def test_no_value_appears_in_a_log_or_error(
    client: FlaskClient,
    record: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    marked = "MARKED8151815"
    valid = {**record, "ca": None, "age": 81.51}
    bodies: list[dict[str, Any]] = [
        {"instances": [valid], **WITH_INTERVAL},
        {"instances": [valid, {**record, "thal": marked}], **WITH_INTERVAL},
        {"instances": [valid], "interval": marked},
        {"instances": [valid], "interval": {marked: 8151815}},
        {"instances": [valid], marked: True, **WITH_INTERVAL},
        {"instances": marked, **WITH_INTERVAL},
    ]
    statuses = []
    for content in bodies:
        for path in ("/predict", "/explain"):
            statuses.append(client.post(path, json=content).status_code)
    assert statuses == [200, 200] + [422] * 10

    def broken(self: IntervalEstimator, values: Any, probabilities: Any) -> None:
        raise RuntimeError(f"{values.tolist()} {probabilities.tolist()}")

    monkeypatch.setattr(IntervalEstimator, "intervals", broken)
    response = client.post("/predict", json=bodies[0])
    assert response.status_code == 500
    assert response.get_json()["instance"] in caplog.text
    assert "in intervals" in caplog.text, "the log must say where it happened"
    for text in (caplog.text, response.text):
        assert "8151815" not in text and "81.51" not in text
