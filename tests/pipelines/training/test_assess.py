from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from model.artifacts import MANIFEST_FILE, Artifact, Store
from model.artifacts.artifact import read_artifact
from model.artifacts.manifest import encode_manifest
from model.calibration import METHOD_NAMES, METHODS, CalibrationSelection, Method
from model.calibration.methods import fit_calibration
from model.errors import InvalidConfig
from model.evaluation import (
    DecisionCurve,
    ModelComparison,
    ReliabilityCurve,
    ThresholdPerformance,
    compare,
)
from model.inference import OnnxSession, Scorer
from model.logit import to_log_odds, to_probabilities
from model.schema import Schema
from model.training import RECIPES
from pipelines.cli import main
from pipelines.data import Table
from pipelines.evaluation import REFERENCE, SEED, NetworkSpec, prepare_folds
from pipelines.evaluation.baselines import BASELINES, fit_baselines
from pipelines.evaluation.folds import FoldPredictor
from pipelines.fitted_pipeline import fit_pipeline
from pipelines.training import RetrainRequest, load_keras_network
from pipelines.training.assess import (
    Assessment,
    assess_predictions,
    calibrate_out_of_fold,
    load_calibration,
)
from pipelines.training.promotion import decide
from tests.conftest import ROOT, explainer_of


@pytest.fixture(scope="module")
def baseline(table: Table) -> np.ndarray:
    """Return out-of-fold probabilities of logistic regression, which is quick to fit."""
    reference = [baseline for baseline in BASELINES if baseline.name == REFERENCE]
    return fit_baselines(reference)(prepare_folds(table, seed=SEED, n_repeats=2))[REFERENCE]


def assess(table: Table, predictions: np.ndarray, **options: Any) -> Assessment:
    by_model = {"a": predictions, REFERENCE: predictions}
    evaluation = compare(table.labels, table.groups, by_model, seed=1, n_splits=10)
    defaults: dict[str, Any] = {
        "requested": "auto",
        "cost_ratio": None,
        "gives_probabilities": True,
    }
    return assess_predictions(table, evaluation, by_model, **defaults | options)


def test_the_manifest_holds_the_assessment(artifact: Artifact) -> None:
    metrics = artifact.manifest.metrics
    selection = msgspec.convert(metrics["calibration"], CalibrationSelection)
    assert selection.requested == "auto" and selection.calibration == load_calibration(artifact)
    assert set(selection.candidates) == set(METHODS)
    assert selection.before.slope and 0.6 < selection.before.slope.value < 1.6
    assert selection.before.slope.low < 1 < selection.before.slope.high
    reliability = msgspec.convert(metrics["reliability"], ReliabilityCurve)
    assert sum(part.n for part in reliability.bins) == 303
    curve = msgspec.convert(metrics["decision_curve"], DecisionCurve)
    at_threshold = msgspec.convert(metrics["threshold"], ThresholdPerformance)
    assert at_threshold.threshold == artifact.manifest.threshold == 0.5
    assert not at_threshold.stated and artifact.manifest.cost_ratio is msgspec.UNSET
    assert at_threshold.true_positives.value + at_threshold.false_negatives.value == 139
    index = curve.thresholds.index(0.5)
    assert curve.model[index] == pytest.approx(at_threshold.net_benefit.value, abs=1e-4)
    assert curve.model[index] > max(curve.treat_all[index], 0)


def test_metrics_are_computed_from_calibrated_probabilities(
    table: Table, baseline: np.ndarray
) -> None:
    """Log-odds that are three times too large are calibrated first."""
    extreme = to_probabilities(to_log_odds(baseline) * 3)
    assessment = assess(table, extreme)
    method = assessment.calibration.method
    assert method != "none"
    np.testing.assert_allclose(
        assessment.probabilities, calibrate_out_of_fold(table, extreme, method)
    )
    losses = (
        assessment.evaluation.estimates["a"]["log_loss"],
        assessment.selection.candidates[method].log_loss,
    )
    assert losses[0].value == pytest.approx(losses[1].value)
    assert assessment.evaluation.baseline == "logistic regression"
    assert msgspec.convert(assessment.metrics["folds"], ModelComparison) == assessment.evaluation
    again = assess(table, assessment.probabilities, requested="none").metrics
    for name in ("reliability", "decision_curve", "threshold"):
        assert assessment.metrics[name] == again[name], name


def test_calibrated_predictions_stay_as_they_are(table: Table, baseline: np.ndarray) -> None:
    assessment = assess(table, baseline, cost_ratio=4.0)
    assert assessment.calibration.method == "none"
    np.testing.assert_array_equal(assessment.probabilities, baseline)
    assert assessment.at_threshold.threshold == pytest.approx(0.2)


def test_the_assessment_is_logged(
    table: Table, baseline: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="pipelines.training.assess"):
        assess(table, baseline, requested="platt", cost_ratio=4.0)
    before, selected, after, threshold = (list(record.args or ()) for record in caplog.records)
    assert before and after and before != after, "slope and intercept, before and after"
    method, requested, candidates = map(str, selected)
    assert method == METHOD_NAMES["platt"] and "requested" in requested
    by_method = dict(zip(("temperature", "platt", "isotonic"), candidates.split("; "), strict=True))
    for candidate, trial in by_method.items():
        assert trial.startswith(METHOD_NAMES[candidate])  # type: ignore[index]
        assert trial.endswith(METHOD_NAMES["none"])
    assert by_method["temperature"].split(METHOD_NAMES["temperature"])[1].strip().startswith("+")
    assert by_method["isotonic"].split(METHOD_NAMES["isotonic"])[1].strip().startswith("+")
    assert threshold[0] == pytest.approx(0.2) and "4" in str(threshold[1])
    assert len(threshold) == 7, "the threshold, its reason and five figures"


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_the_calibration_becomes_part_of_the_network(table: Table, method: Method) -> None:
    fitted = fit_pipeline(table, RECIPES["default"])
    before = to_log_odds(fitted.predict(table))
    calibration = fit_calibration(method, table.labels, before[None] * 1.5)
    after = fitted.with_calibration(calibration).predict(table)
    np.testing.assert_allclose(after, to_probabilities(calibration.apply(before)), atol=1e-6)


@pytest.mark.slow
def test_a_calibrated_version_with_a_cost_ratio(
    store: Store, table: Table, schema: Schema, artifact: Artifact
) -> None:
    """Isotonic regression reaches the saved weights, the graph, explanations and labels."""
    request = ["retrain", "--calibration", "isotonic", "--cost-ratio", "4", "--store", store.folder]
    result = CliRunner().invoke(main, [str(word) for word in request])
    assert result.exit_code == 0, result.output
    new = read_artifact(store.path("2"))
    assert new.manifest.threshold == pytest.approx(0.2) and new.manifest.cost_ratio == 4
    assert new.manifest.metrics["calibration"]["requested"] == "isotonic"
    calibration = load_calibration(new)
    assert calibration.method == "isotonic"

    values = table.values.copy()
    plain, served = (
        OnnxSession(a.files["model.onnx"]).probabilities(values) for a in (artifact, new)
    )
    expected = to_probabilities(calibration.apply(to_log_odds(plain)))
    np.testing.assert_allclose(served, expected, atol=2e-6)
    features = fit_pipeline(table, RECIPES["default"]).preprocessing.transform(table.frame)
    weights = load_keras_network(new)(features.astype(np.float32)).numpy()[:, 0]
    np.testing.assert_allclose(weights, served, atol=1e-6)
    explained = explainer_of(new).explain(values[:5])
    np.testing.assert_allclose(
        [e.base + sum(e.contributions.values()) for e in explained],
        calibration.apply(to_log_odds(plain[:5])),
        atol=1e-4,
    )
    labels = [prediction.label for prediction in Scorer(new).predict(values)]
    assert labels == [
        schema.outcome.positive if p >= 0.2 else schema.outcome.negative for p in served
    ]


def test_a_harmful_calibration_is_not_promoted(
    store: Store,
    table: Table,
    artifact: Artifact,
    baseline: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Versions of one recipe with different calibrations are compared."""
    from pipelines.training import promotion

    out_of_fold = baseline[:1]

    def fixed_predictions(specs: Mapping[str, NetworkSpec]) -> FoldPredictor:
        return lambda folds: dict.fromkeys(specs, out_of_fold[None])

    monkeypatch.setattr(promotion, "fit_networks", fixed_predictions)
    calibration = fit_calibration("temperature", table.labels, to_log_odds(out_of_fold))
    files = {**artifact.files, "calibration.json": msgspec.json.encode(calibration)}
    challenger = store.add(artifact.manifest, files)
    underconfident = to_probabilities(to_log_odds(out_of_fold) / 3)
    decision = decide(table, challenger, underconfident, artifact)
    assert not decision.promote
    assert "the difference in log loss to version 1 is +" in decision.reason
    # With the roles exchanged, the champion's predictions are calibrated before the comparison.
    calibrated = calibrate_out_of_fold(table, out_of_fold, "temperature")
    decision = decide(table, artifact, calibrated, challenger)
    assert decision.promote
    assert "is +0.0000 (95 % interval +0.0000 to +0.0000)" in decision.reason


def test_a_loss_without_probabilities_needs_a_calibration(
    table: Table, baseline: np.ndarray
) -> None:
    assert assess(table, baseline, gives_probabilities=False).calibration.method == "platt"
    with pytest.raises(InvalidConfig, match="not a probability; use auto, platt or isotonic"):
        assess(table, baseline, gives_probabilities=False, requested="none")


def test_dropping_the_cost_ratio_gives_a_warning(
    store: Store, schema: Schema, caplog: pytest.LogCaptureFixture
) -> None:
    from pipelines.training.retrain import load_champion

    artifact = read_artifact(store.path("1"))
    manifest = msgspec.structs.replace(artifact.manifest, cost_ratio=4.0, threshold=0.2)
    store.promote(store.add(manifest, artifact.files).manifest.version)
    request = RetrainRequest(
        ROOT / "data/cleveland.csv", schema, RECIPES["default"], "default", "cpu:0", ""
    )
    champion = load_champion(store, request)
    assert champion and champion.manifest.cost_ratio == 4
    warnings = [record.args for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [("2", 4.0)], "the version and its ratio"
    caplog.clear()
    load_champion(store, dataclasses.replace(request, cost_ratio=1.0))
    assert not caplog.text


def test_a_version_of_the_first_format_is_read(artifact: Artifact) -> None:
    """It has no cost ratio and no calibration, and its own checksum."""
    folder = artifact.folder
    (folder / "calibration.json").unlink()
    content = json.loads(encode_manifest(artifact.manifest))
    assert "cost_ratio" not in content
    del content["files"]["calibration.json"]
    content |= {"format_version": 1, "checksum": ""}
    unsealed = msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1)
    content["checksum"] = hashlib.sha256(unsealed).hexdigest()
    sealed = msgspec.json.format(msgspec.json.encode(content, order="sorted"), indent=1)
    (folder / MANIFEST_FILE).write_bytes(sealed)
    old = read_artifact(folder)
    assert load_calibration(old).method == "none"
    assert old.manifest.cost_ratio is msgspec.UNSET
    for weights, expected in zip(
        load_keras_network(old).get_weights(),
        load_keras_network(artifact).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize("cost_ratio", ["0", "-1", "101", "nan", "inf"])
def test_a_cost_ratio_out_of_range_is_an_error_before_training(
    cost_ratio: str, tmp_path: Path
) -> None:
    arguments = ["retrain", f"--cost-ratio={cost_ratio}", "--data", "none.csv"]
    result = CliRunner().invoke(main, [*arguments, "--store", str(tmp_path / "store")])
    assert result.exit_code == 1
    assert "cost_ratio: expected 0.01 to 100, received" in result.output
    assert not (tmp_path / "store").exists()
