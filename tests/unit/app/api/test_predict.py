"""Predictions, warnings, and the routes that describe the model."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import jsonschema
import msgspec
import pytest
from flask.testing import FlaskClient

from app import Settings, create_app
from app.web import PROBLEM_TYPES
from model.artifacts import Artifact, Store, TrainingRange
from model.inference import Scorer
from model.records import RecordValidator
from model.schema import Schema


def test_one_record(client: FlaskClient, record: dict[str, Any]) -> None:
    response = client.post("/predict", json=record)
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    content = response.get_json()
    assert (content["model"], content["version"]) == ("cleveland", "1")
    (prediction,) = content["predictions"]
    assert 0 < prediction["probability"] < 1
    assert prediction["label"] == (
        "disease" if prediction["probability"] >= prediction["threshold"] else "no disease"
    )
    assert prediction["threshold"] == 0.5
    assert prediction["missing"] == prediction["warnings"] == []


def test_lists_and_instances_keep_their_order(client: FlaskClient, record: dict[str, Any]) -> None:
    records = [{**record, "age": age} for age in (40, 70, 50)]
    single = [
        client.post("/predict", json=r).get_json()["predictions"][0]["probability"] for r in records
    ]
    for content in (records, {"instances": records}):
        predictions = client.post("/predict", json=content).get_json()["predictions"]
        assert [p["probability"] for p in predictions] == pytest.approx(single, abs=1e-6)
    assert len(set(single)) == 3


def test_both_labels_occur(client: FlaskClient, record: dict[str, Any]) -> None:
    healthy = {**record, "cp": 3, "ca": 0, "thal": "normal", "oldpeak": 0, "exang": 0, "sex": 0}
    ill = {**record, "cp": 4, "ca": 3, "thal": "reversible", "oldpeak": 4, "exang": 1, "sex": 1}
    predictions = client.post("/predict", json=[healthy, ill]).get_json()["predictions"]
    assert [p["label"] for p in predictions] == ["no disease", "disease"]


def test_missing_columns_are_listed(client: FlaskClient, record: dict[str, Any]) -> None:
    record |= {"thal": None, "chol": None}
    (prediction,) = client.post("/predict", json=record).get_json()["predictions"]
    assert prediction["missing"] == ["chol", "thal"]


def test_values_outside_the_training_range_get_a_warning(
    client: FlaskClient, record: dict[str, Any]
) -> None:
    unusual = {**record, "age": 90, "thal": 1, "oldpeak": -1, "ca": None}
    predictions = client.post("/predict", json=[record, unusual]).get_json()["predictions"]
    assert predictions[0]["warnings"] == []
    assert predictions[1]["missing"] == ["ca"]
    assert [(w["field"], w["code"]) for w in predictions[1]["warnings"]] == [
        ("age", "outside_training_range"),
        ("oldpeak", "outside_training_range"),
        ("thal", "level_not_in_training"),
    ]
    assert predictions[1]["warnings"][0]["message"] == "the training table holds 29 to 77 years"


def test_the_ends_of_the_training_range_are_inside(
    artifact: Artifact, record: dict[str, Any]
) -> None:
    for end in (1.1, 6.2):
        ranges = {**artifact.manifest.ranges, "oldpeak": TrainingRange(minimum=end, maximum=end)}
        manifest = msgspec.structs.replace(artifact.manifest, ranges=ranges)
        scorer = Scorer(dataclasses.replace(artifact, manifest=manifest))
        values = RecordValidator(artifact.schema).values([{**record, "oldpeak": end}])
        assert scorer.predict(values)[0].warnings == ()


def test_a_column_without_training_values_gets_a_warning(
    artifact: Artifact, record: dict[str, Any]
) -> None:
    ranges = {**artifact.manifest.ranges, "chol": TrainingRange(missing=303)}
    manifest = msgspec.structs.replace(artifact.manifest, ranges=ranges)
    scorer = Scorer(dataclasses.replace(artifact, manifest=manifest))
    (prediction,) = scorer.predict(RecordValidator(artifact.schema).values([record]))
    assert [(w.field, w.message) for w in prediction.warnings] == [
        ("chol", "the training table has no value in this column")
    ]


def test_alive_and_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").get_json() == {"status": "alive"}
    assert client.get("/readyz").get_json() == {"ready": True, "version": "1"}


def test_not_ready_gives_the_reason(tmp_path: Any, record: dict[str, Any]) -> None:
    client = create_app(Settings(model_store=tmp_path / "none")).test_client()
    assert client.get("/healthz").status_code == 200
    for response in (client.get("/readyz"), client.post("/predict", json=record)):
        assert response.status_code == 503
        assert "no version is current yet" in response.get_json()["error"]
    assert client.get("/readyz").get_json()["ready"] is False
    assert client.get("/model").status_code == client.get("/schema").status_code == 503


def test_the_model_without_paths(client: FlaskClient, store: Store) -> None:
    content = client.get("/model").get_json()
    assert content["version"] == "1"
    assert content["metrics"]["folds"]["n_patients"] == 303
    assert "not a risk of future disease" in content["outcome"]["caution"]
    assert content["outcome"]["rule"] == "num > 0"

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [t for v in value.values() for t in texts(v)]
        if isinstance(value, list):
            return [t for v in value for t in texts(v)]
        return [value] if isinstance(value, str) else []

    local = [text.replace("mg/dl", "") for text in texts(content) if "https://" not in text]
    assert not [text for text in local if "/" in text]


def test_the_json_schema_of_a_record(
    client: FlaskClient, schema: Schema, record: dict[str, Any]
) -> None:
    response = client.get("/schema")
    assert response.mimetype == "application/schema+json"
    content = json.loads(response.data)
    jsonschema.Draft202012Validator.check_schema(content)
    validator = jsonschema.Draft202012Validator(content)
    assert content["required"] == list(schema.column_names)
    for valid in (record, *content["examples"], {**record, "thal": "fixed", "ca": None}):
        assert validator.is_valid(valid)
        assert client.post("/predict", json=valid).status_code == 200
    for change in ({"age": 121}, {"age": None}, {"thal": "fixd"}, {"cp": 1.5}, {"agee": 1}):
        invalid = {**record, **change}
        assert not validator.is_valid(invalid)
        assert client.post("/predict", json=invalid).status_code == 422


def test_every_problem_type_is_described(client: FlaskClient) -> None:
    for code, (status, _, resolution) in PROBLEM_TYPES.items():
        content = client.get(f"/problems/{code}").get_json()
        assert (content["status"], content["resolution"]) == (status, resolution)
    assert client.get("/problems/none").status_code == 404
