"""The whole service on a model of two columns, compared with results worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from app import Settings, create_app
from model.artifacts import Store
from tests.unit import tiny
from tests.unit.conftest import store_of_tiny

RECORDS: list[dict[str, Any]] = [
    {"dose": 12, "stage": "middle"},
    {"dose": 6, "stage": "early"},
    {"dose": 14, "stage": "late"},
]
EXPECTED = [tiny.probability(record["dose"], record["stage"]) for record in RECORDS]
CODES = {"early": 1, "middle": 2, "late": 3}
TOLERANCE = 1e-6
LOGISTIC_VARIANCE = math.pi / 8
"""The factor of the variance of the log-odds in the probit approximation (MacKay, 1992)."""
RIDGE = 10 / len(tiny.ROWS)
"""The term added to the variance of every feature."""


def post(client: FlaskClient, path: str, content: Any, **headers: str) -> Any:
    response = client.post(path, json=content, headers=headers)
    assert response.status_code == 200, response.text
    return response.get_json()


def test_one_record(tiny_client: FlaskClient) -> None:
    content = post(tiny_client, "/predict", {"dose": 12, "stage": "middle"})
    assert content == {
        "model": "tiny",
        "version": "1",
        "predictions": [
            {
                "probability": pytest.approx(1 / (1 + math.exp(-0.15)), abs=TOLERANCE),
                "label": "worse",
                "threshold": 0.5,
                "missing": [],
                "warnings": [],
            }
        ],
    }


def test_a_batch_keeps_its_order(tiny_client: FlaskClient) -> None:
    predictions = post(tiny_client, "/predict", RECORDS)["predictions"]
    assert [p["probability"] for p in predictions] == pytest.approx(EXPECTED, abs=TOLERANCE)
    assert [p["label"] for p in predictions] == ["worse", "not worse", "worse"]


def test_a_missing_number_is_imputed_with_its_mean_and_adds_uncertainty(
    tiny_client: FlaskClient,
) -> None:
    """Dose and stage are uncorrelated, so the stage has no information about the dose."""
    (prediction,) = post(tiny_client, "/predict", {"dose": None, "stage": "late"})["predictions"]
    variance = tiny.DOSE_WEIGHT**2 * (1 + RIDGE)
    log_odds = tiny.log_odds(tiny.MEAN, "late") / math.sqrt(1 + LOGISTIC_VARIANCE * variance)
    assert prediction["missing"] == ["dose"]
    assert prediction["probability"] == pytest.approx(tiny.logistic(log_odds), abs=TOLERANCE)


def test_a_missing_level_is_imputed_with_the_shares_of_the_levels(tiny_client: FlaskClient) -> None:
    (prediction,) = post(tiny_client, "/predict", {"dose": 14, "stage": None})["predictions"]
    weights = np.array(list(tiny.STAGE_WEIGHTS.values()))
    # Each of the three levels has a third of the rows: variance 2/9, covariance -1/9.
    covariance = np.eye(3) / 3 - np.ones((3, 3)) / 9 + RIDGE * np.eye(3)
    imputed = tiny.BIAS + tiny.DOSE_WEIGHT + weights.mean()
    log_odds = imputed / math.sqrt(1 + LOGISTIC_VARIANCE * weights @ covariance @ weights)
    assert prediction["missing"] == ["stage"]
    assert prediction["probability"] == pytest.approx(tiny.logistic(log_odds), abs=TOLERANCE)


def test_a_value_outside_the_training_range_gets_a_warning(
    tiny_client: FlaskClient,
) -> None:
    (prediction,) = post(tiny_client, "/predict", {"dose": 20, "stage": "early"})["predictions"]
    assert prediction["probability"] == pytest.approx(tiny.probability(20, "early"), abs=TOLERANCE)
    assert [(w["field"], w["code"]) for w in prediction["warnings"]] == [
        ("dose", "outside_training_range")
    ]


def test_every_problem_of_every_record_is_listed(tiny_client: FlaskClient) -> None:
    records = [{"dose": 21, "stage": "laet"}, RECORDS[0], {"dose": "12", "other": 1}]
    response = tiny_client.post("/predict", json=records)
    assert response.status_code == 422
    content = response.get_json()
    assert content["type"] == "/problems/invalid_records"
    assert sorted((e["row"], e["field"], e["code"]) for e in content["errors"]) == [
        (0, "dose", "out_of_range"),
        (0, "stage", "not_allowed"),
        (2, "dose", "wrong_type"),
        (2, "other", "unknown_column"),
        (2, "stage", "absent"),
    ]
    by_field = {(e["row"], e["field"]): e for e in content["errors"]}
    assert (by_field[0, "dose"]["minimum"], by_field[0, "dose"]["maximum"]) == (0, 20)
    assert by_field[0, "stage"]["did_you_mean"] == "late"
    assert "21" not in json.dumps([e["message"] for e in content["errors"]])


def test_an_explanation_has_the_contribution_of_each_column(tiny_client: FlaskClient) -> None:
    """In a linear model, a column contributes its term minus the mean in the background."""
    weights = tiny.STAGE_WEIGHTS
    mean_stage = (weights["early"] + weights["late"]) / 2  # the background's doses average to 0
    for record in RECORDS:
        (prediction,) = post(tiny_client, "/explain", record)["predictions"]
        explanation = prediction["explanation"]
        assert explanation["base"] == pytest.approx(tiny.BIAS + mean_stage, abs=1e-9)
        assert explanation["log_odds"] == pytest.approx(
            tiny.log_odds(record["dose"], record["stage"]), abs=1e-6
        )
        assert explanation["contributions"] == {
            "dose": pytest.approx(tiny.DOSE_WEIGHT * (record["dose"] - 10) / 4, abs=1e-5),
            "stage": pytest.approx(weights[record["stage"]] - mean_stage, abs=1e-5),
        }


def test_an_interval_is_the_spread_of_the_members(tiny_client: FlaskClient) -> None:
    """Five members at -1 to 1 around the log-odds: .9 of the way to the ends, stretched by 1.25."""
    content = {"instances": RECORDS, "interval": True}
    predictions = post(tiny_client, "/predict", content)["predictions"]
    for record, prediction in zip(RECORDS, predictions, strict=True):
        middle = tiny.log_odds(record["dose"], record["stage"])
        assert prediction["interval"] == {
            "low": pytest.approx(tiny.logistic(middle - 1.25 * 0.9), abs=TOLERANCE),
            "high": pytest.approx(tiny.logistic(middle + 1.25 * 0.9), abs=TOLERANCE),
            "level": 0.9,
            "kind": "sampling uncertainty",
        }


def test_tensorflow_serving(tiny_client: FlaskClient) -> None:
    path = "/v1/models/tiny"
    rows = post(tiny_client, f"{path}:predict", {"instances": RECORDS})["predictions"]
    assert [p for (p,) in rows] == pytest.approx(EXPECTED, abs=TOLERANCE)
    columns = {name: [record[name] for record in RECORDS] for name in ("dose", "stage")}
    outputs = post(tiny_client, f"{path}/versions/1:predict", {"inputs": columns})["outputs"]
    assert [p for (p,) in outputs] == pytest.approx(EXPECTED, abs=TOLERANCE)
    assert post(tiny_client, f"{path}:regress", {"examples": RECORDS})["results"] == pytest.approx(
        EXPECTED, abs=TOLERANCE
    )
    status = tiny_client.get(path).get_json()["model_version_status"]
    assert [(s["version"], s["state"]) for s in status] == [("1", "AVAILABLE")]


def test_open_inference(tiny_client: FlaskClient) -> None:
    matrix = [[record["dose"], CODES[record["stage"]]] for record in RECORDS]
    tensor = {"name": "values", "shape": [3, 2], "datatype": "FP64", "data": matrix}
    content = post(tiny_client, "/v2/models/tiny/infer", {"inputs": [tensor]})
    outputs = {output["name"]: output["data"] for output in content["outputs"]}
    assert outputs["probability"] == pytest.approx(EXPECTED, abs=TOLERANCE)
    assert outputs["label"] == ["worse", "not worse", "worse"]
    assert tiny_client.get("/v2/models/tiny/ready").status_code == 200


def test_mlflow(tiny_client: FlaskClient) -> None:
    rows = [list(record.values()) for record in RECORDS]
    split = {"dataframe_split": {"columns": ["dose", "stage"], "data": rows}}
    for content in (split, {"dataframe_records": RECORDS}, {"instances": RECORDS}):
        predictions = post(tiny_client, "/invocations", content)["predictions"]
        assert predictions == pytest.approx(EXPECTED, abs=TOLERANCE)
    csv = "dose,stage\n" + "\n".join(f"{r['dose']},{r['stage']}" for r in RECORDS)
    response = tiny_client.post("/invocations", data=csv, content_type="text/csv")
    assert response.get_json()["predictions"] == pytest.approx(EXPECTED, abs=TOLERANCE)
    assert tiny_client.get("/ping").status_code == 200


def test_the_model_describes_itself(tiny_client: FlaskClient) -> None:
    content = tiny_client.get("/model").get_json()
    assert (content["name"], content["version"]) == ("tiny", "1")
    assert content["outcome"]["rule"] == "worse > 0"
    schema = tiny_client.get("/schema").get_json()
    assert schema["required"] == ["dose", "stage"]
    assert tiny_client.get("/openapi.json").get_json()["openapi"].startswith("3.1")


def test_the_page_names_both_columns(tiny_client: FlaskClient) -> None:
    response = tiny_client.get("/docs")
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    for text in ("A table of two columns", "dose", "stage", "mg"):
        assert text in response.text


def test_a_second_version_serves_once_it_is_promoted_and_the_first_after_a_rollback(
    tmp_path: Path,
) -> None:
    store = store_of_tiny(tmp_path / "tiny")
    app = create_app(Settings(model_store=store.folder, reload_seconds=3600))
    client = app.test_client()

    def predict() -> tuple[Any, Any]:
        app.models.refresh()
        content = post(client, "/predict", RECORDS[0])
        return content["version"], content["predictions"][0]["probability"]

    first: Any = ("1", pytest.approx(tiny.probability(12, "middle"), abs=TOLERANCE))
    second: Any = ("2", pytest.approx(tiny.probability(12, "middle", shift=0.7), abs=TOLERANCE))
    assert predict() == first
    store.add(tiny.manifest(), tiny.files(shift=0.7))
    assert predict() == first, "a version must not serve before it is promoted"
    store.promote("2")
    assert predict() == second
    store.rollback()
    assert predict() == first


def test_a_graph_with_other_weights_than_the_explanation_data_is_rejected(tmp_path: Path) -> None:
    """A version is verified when it is written, and again when it is loaded."""
    store: Store = store_of_tiny(tmp_path / "tiny")
    files = {**tiny.files(), "model.onnx": tiny.files(shift=0.7)["model.onnx"]}
    store.add(tiny.manifest(), files)
    store.promote("2")
    client = create_app(Settings(model_store=store.folder)).test_client()
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "version 2" in ready.get_json()["error"]
