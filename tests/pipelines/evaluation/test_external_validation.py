from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from model.artifacts import Artifact
from model.inference import Scorer
from model.schema import Schema
from pipelines.cli import main
from pipelines.cli.tables import external_validation_table
from pipelines.data import ExternalTable, Table, read_external_table
from pipelines.evaluation import validate_version
from pipelines.evaluation.external_validation import validate_predictor
from pipelines.fitted_pipeline import build_predictor, fit_pipeline
from tests.conftest import ROOT
from tests.unit.pipelines.data.test_external_table import Rows, like_other_sites, write
from tests.unit.pipelines.data.test_table import ROWS


@pytest.fixture
def external_data(schema: Schema, tmp_path: Path) -> ExternalTable:
    return read_external_table(write(tmp_path, like_other_sites(200)), schema)


def test_estimates_are_those_of_the_served_probabilities(
    external_data: ExternalTable, artifact: Artifact
) -> None:
    """Compared with scikit-learn and with logistic regression without a penalty."""
    validation = validate_version(external_data, artifact)
    labels = external_data.table.labels
    p = Scorer(artifact).score(external_data.table.values.copy()).probabilities.astype(float)
    expected = {
        "auc": roc_auc_score(labels, p),
        "log_loss": log_loss(labels, p),
        "brier": brier_score_loss(labels, p),
    }
    assert set(validation.estimates) == set(expected)
    for name, figure in validation.estimates.items():
        assert figure is not None
        assert figure.value == pytest.approx(expected[name])
        assert figure.low < figure.value < figure.high
    log_odds = np.log(p / (1 - p))[:, None]
    line = LogisticRegression(C=np.inf, tol=1e-10).fit(log_odds, labels)
    calibration = validation.calibration
    assert calibration.slope is not None and calibration.in_the_large is not None
    assert calibration.slope.value == pytest.approx(line.coef_[0, 0], abs=1e-4)
    shift = calibration.in_the_large.value
    shifted = 1 / (1 + np.exp(-(log_odds[:, 0] + shift)))
    assert shifted.mean() == pytest.approx(labels.mean(), abs=1e-6)
    assert (validation.n_records, validation.n_positive) == (200, int(labels.sum()))
    assert validation.prevalence_log_loss == pytest.approx(
        log_loss(labels, np.full(200, labels.mean()))
    )
    assert not validation.is_training_table


def test_missing_values_are_filled_as_in_serving(
    external_data: ExternalTable, artifact: Artifact
) -> None:
    graph = Scorer(artifact).graph
    imputed = validate_version(external_data, artifact).estimates["log_loss"]
    means = validate_predictor(external_data, graph.probabilities, name="means", training_sha256="")
    with_means = means.estimates["log_loss"]
    assert imputed is not None and with_means is not None
    assert abs(imputed.value - with_means.value) > 0.003


def test_a_recipe_predicts_as_its_version(table: Table, artifact: Artifact) -> None:
    """The artifact was trained with the default recipe, which is deterministic."""
    from model.training import RECIPES

    values = table.values.copy()
    values[::2, 11:] = np.nan
    expected = Scorer(artifact).score(values).probabilities
    recipe = RECIPES["default"]
    probabilities = build_predictor(fit_pipeline(table, recipe), table)(values)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_auc_and_slope_are_undefined_for_a_single_outcome(
    schema: Schema,
    tmp_path: Path,
    artifact: Artifact,
) -> None:
    positive_rows = [row for row in like_other_sites(200) if row["num"] != "0"]
    validation = validate_version(
        read_external_table(write(tmp_path, positive_rows), schema), artifact
    )
    assert validation.estimates["auc"] is None
    assert validation.calibration.slope is None
    text = external_validation_table(validation)
    assert "AUC                       undefined for these records" in text
    assert "calibration slope         undefined for these records" in text


def run(*arguments: Any) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def invalid_rows() -> Rows:
    rows = like_other_sites(200)
    rows[7]["trestbps"], rows[8]["age"] = "0", ""
    return rows


def test_the_command_prints_estimates_and_missing_values(
    tmp_path: Path,
    artifact: Artifact,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    store = artifact.folder.parent
    output = run("evaluate", "--store", store, "--external", write(tmp_path, invalid_rows()))
    n_positive = sum(row["num"] != "0" for number, row in enumerate(ROWS[:200]) if number != 8)
    first, *lines = output.splitlines()
    assert first.startswith(f"site.data: 199 records, {n_positive} positive (")
    assert "predicted by version 1" in first
    assert lines[0].startswith("excluded from the 200 records") and lines[0].endswith(": age 1")
    assert lines[1] == "impossible values treated as missing: trestbps 1"
    assert lines[2] == (
        "missing: trestbps 1 (1%), chol 134 (67%), fbs 40 (20%), slope 132 (66%), "
        "ca 199 (100%), thal 199 (100%)"
    )
    for title in ("AUC", "log loss", "Brier", "calibration in the large", "calibration slope"):
        assert any(line.startswith(f"  {title}  ") and " to " in line for line in lines), title


def test_the_command_evaluates_a_recipe(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It needs no current version and writes nothing."""
    monkeypatch.chdir(ROOT)
    arguments = (
        "evaluate",
        "--store",
        tmp_path / "none",
        "--external",
        write(tmp_path, like_other_sites()),
    )
    output = run(*arguments, "--epochs", 2)
    assert "predicted by the recipe default, changed, fitted on cleveland.csv" in output
    assert not (tmp_path / "none").exists()


def test_the_training_table_gives_a_warning(artifact: Artifact, schema: Schema) -> None:
    external_data = read_external_table(ROOT / "data/cleveland.csv", schema)
    validation = validate_version(external_data, artifact)
    assert validation.is_training_table
    assert "trained on this file" in external_validation_table(validation)
    predict_probabilities = Scorer(artifact).probabilities
    assert not validate_predictor(
        external_data, predict_probabilities, name="1", training_sha256="another"
    ).is_training_table
