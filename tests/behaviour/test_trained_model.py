"""Behaviour that every trained model must show."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from model.artifacts import Artifact
from model.evaluation import ModelComparison, auc, log_loss
from model.inference import Scorer
from model.records import RecordValidator
from model.training import RECIPES, TrainingConfig
from pipelines.data import Table
from pipelines.evaluation import SECOND_SEED, SEED
from pipelines.evaluation.cross_validation import evaluate_with_baselines
from pipelines.fitted_pipeline import fit_pipeline

EQUAL_WEIGHTS = np.ones((1, 303))


def probability(artifact: Artifact, record: dict[str, Any]) -> float:
    values = RecordValidator(artifact.schema).values([record])
    return Scorer(artifact).predict(values)[0].probability


def test_a_network_can_memorise_twenty_patients(table: Table) -> None:
    rows = np.arange(20)
    config = TrainingConfig(initial_weights="glorot", epochs=300, l2=0.0, learning_rate=0.02)
    fitted = fit_pipeline(table, config, rows)
    probabilities = fitted.predict(table, rows)
    assert log_loss(table.labels[rows], probabilities[None], np.ones((1, 20)))[0] < 0.02


def test_training_lowers_the_loss(artifact: Artifact) -> None:
    history = msgspec.json.decode(artifact.files["history.json"])["loss"]
    assert len(history) == 30
    assert history[-1] < 0.6 * history[0]


def test_a_validation_share_is_not_trained_on(table: Table) -> None:
    fitted = fit_pipeline(table, TrainingConfig(epochs=1, validation_fraction=0.2))
    assert len(fitted.rows) == 242
    assert "val_loss" in fitted.fit.history
    scale = fitted.preprocessing.named_transformers_["age"]["scale"]
    assert scale.mean_[0] == pytest.approx(table.values[fitted.rows, 0].mean())


@pytest.mark.parametrize(
    ("column", "better", "worse"),
    [
        ("ca", 0, 3),
        ("thal", "normal", "reversible"),
        ("cp", "non-anginal pain", "asymptomatic"),
        ("oldpeak", 0, 4),
        ("exang", "no", "yes"),
        ("thalach", 190, 90),
        ("sex", "female", "male"),
    ],
)
def test_findings_move_the_probability_in_the_known_direction(
    artifact: Artifact, record: dict[str, Any], column: str, better: Any, worse: Any
) -> None:
    low = probability(artifact, {**record, column: better})
    high = probability(artifact, {**record, column: worse})
    assert low < high, f"{column} must raise the probability"


def test_the_order_of_keys_and_the_batch_do_not_matter(
    artifact: Artifact, record: dict[str, Any]
) -> None:
    validator, scorer = RecordValidator(artifact.schema), Scorer(artifact)
    reordered = dict(reversed(record.items()))
    other = {**record, "age": 30}
    predictions = scorer.predict(validator.values([record, reordered, other, record]))
    single = scorer.predict(validator.values([record]))[0]
    for prediction in (predictions[0], predictions[1], predictions[3]):
        assert prediction.probability == pytest.approx(single.probability, abs=1e-6)


def test_the_training_table_is_separated_well(artifact: Artifact, table: Table) -> None:
    probabilities = [p.probability for p in Scorer(artifact).predict(table.values)]
    assert auc(table.labels, np.array([probabilities]), EQUAL_WEIGHTS)[0] > 0.92


def test_one_round_of_folds_is_good_enough(artifact: Artifact) -> None:
    """A loose limit; make evaluate and the slow test below check the strict one."""
    folds = msgspec.convert(artifact.manifest.metrics["folds"], ModelComparison)
    assert folds.estimates["default"]["auc"].value > 0.88
    assert folds.differences["log_loss"].value < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED, SECOND_SEED])
def test_the_limits_over_a_hundred_folds(table: Table, seed: int) -> None:
    """The recipe is as good as logistic regression and better than every other model."""
    evaluation = evaluate_with_baselines(
        table, RECIPES["default"], name="default", seed=seed, slow=True
    )
    assert evaluation.n_repeats == 10
    differences = {
        name: metrics["log_loss"].value
        for name, metrics in evaluation.differences_to_baseline().items()
    }
    assert differences["default"] <= 0.002
    averaged = differences.pop("default, ten averaged")
    assert averaged <= 0.001
    assert differences["textbook"] >= 0.02
    others = {name: loss for name, loss in differences.items() if name != "default"}
    assert len(others) >= 8
    assert averaged < min(others.values())
