from __future__ import annotations

import math
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import Settings, create_app
from model.artifacts import Artifact, Store
from tests.conftest import remove_optional_files


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_contributions_sum_to_the_log_odds(client: FlaskClient, record: dict[str, Any]) -> None:
    records = [record, {**record, "ca": None, "thal": "reversible"}, {**record, "age": 90}]
    content = client.post("/explain", json=records).get_json()
    assert (content["model"], content["version"]) == ("cleveland", "1")
    plain = client.post("/predict", json=records).get_json()["predictions"]
    for prediction, without in zip(content["predictions"], plain, strict=True):
        explanation = prediction.pop("explanation")
        assert prediction == without
        assert list(explanation["contributions"]) == list(record)
        total = explanation["base"] + sum(explanation["contributions"].values())
        assert total == pytest.approx(explanation["log_odds"], abs=1e-5)
        assert total == pytest.approx(logit(prediction["probability"]), abs=1e-4)
        assert "standard_errors" not in explanation, "exact contributions have none"
    bases = {
        p["base"]
        for p in (
            e["explanation"]
            for e in client.post("/explain", json=records).get_json()["predictions"]
        )
    }
    assert len(bases) == 1, "the base belongs to the version"


def test_explain_next_to_instances_is_the_same(client: FlaskClient, record: dict[str, Any]) -> None:
    body = {"instances": [record, record], "explain": True}
    expected = client.post("/explain", json=[record, record]).get_json()
    assert client.post("/predict", json=body).get_json() == expected
    body["explain"] = False
    assert "explanation" not in client.post("/predict", json=body).text


def test_explain_is_true_or_false(client: FlaskClient, record: dict[str, Any]) -> None:
    values: list[Any] = [1, "true", None, []]
    for value in values:
        response = client.post("/predict", json={"instances": [record], "explain": value})
        assert response.status_code == 422
        (error,) = response.get_json()["errors"]
        assert (error["field"], error["code"]) == ("explain", "wrong_type")


def test_more_records_than_are_explained(trained: Store, record: dict[str, Any]) -> None:
    settings = Settings(model_store=trained.folder, max_explained=2)
    client = create_app(settings).test_client()
    assert client.post("/explain", json=[record] * 2).status_code == 200
    assert client.post("/predict", json=[record] * 3).status_code == 200
    requests: list[tuple[str, Any]] = [
        ("/explain", [record] * 3),
        ("/predict", {"instances": [record] * 3, "explain": True}),
    ]
    for path, content in requests:
        response = client.post(path, json=content)
        assert response.status_code == 422
        assert "at most 2 records" in response.get_json()["error"]


def test_invalid_records_get_the_same_error(client: FlaskClient, record: dict[str, Any]) -> None:
    bad: list[Any] = [{**record, "age": 0}, [], {}, {"instances": 3}]
    for content in bad:
        explained = client.post("/explain", json=content, headers={"X-Request-ID": "same"})
        predicted = client.post("/predict", json=content, headers={"X-Request-ID": "same"})
        assert (explained.status_code, explained.data) == (422, predicted.data)
    assert client.post("/explain", data="{}", content_type="text/csv").status_code == 415


def test_a_version_without_explanations_gets_501(
    store: Store, artifact: Artifact, record: dict[str, Any]
) -> None:
    """It still predicts."""
    remove_optional_files(artifact, "explanation.json", "inputs.json", "members.json")
    client = create_app(Settings(model_store=store.folder)).test_client()
    assert client.post("/predict", json=record).status_code == 200
    response = client.post("/explain", json=record)
    assert response.status_code == 501
    assert response.get_json()["type"] == "/problems/not_explainable"
    assert "retrain" in response.get_json()["error"].lower()
