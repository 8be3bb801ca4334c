from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn import metrics as theirs

from model.evaluation import (
    METRICS,
    Estimate,
    ModelComparison,
    auc,
    compare,
    log_loss,
    log_loss_rise_in_standard_errors,
)
from model.evaluation.bootstrap import bootstrap_weights
from model.evaluation.metrics import MAX_PAIRS, calibration_error


def sample(n: int = 200, repeats: int = 3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(2)
    truth = draw.uniform(size=n)
    labels = (draw.uniform(size=n) < truth).astype(int)
    noise = draw.normal(scale=0.05, size=(repeats, n))
    with_ties = np.round(truth + noise, 2)
    return labels, np.clip(with_ties, 0.01, 0.99)


def accuracy_at_one_half(labels: np.ndarray, p: np.ndarray, sample_weight: np.ndarray) -> float:
    return float(theirs.accuracy_score(labels, p >= 0.5, sample_weight=sample_weight))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("auc", theirs.roc_auc_score),
        ("log_loss", theirs.log_loss),
        ("brier", theirs.brier_score_loss),
        ("accuracy", accuracy_at_one_half),
    ],
)
def test_metrics_equal_scikit_learns_for_every_bootstrap_sample(
    name: str, reference: object
) -> None:
    assert callable(reference)
    labels, probabilities = sample()
    (weights,) = bootstrap_weights(np.arange(200), seed=3, n_samples=5)
    expected = [
        np.mean([reference(labels, p, sample_weight=w) for p in probabilities]) for w in weights
    ]
    np.testing.assert_allclose(METRICS[name](labels, probabilities, weights), expected, rtol=1e-9)


def test_a_large_table_is_sorted_and_has_the_same_auc() -> None:
    """Copies of a table have the same AUC; these have too many pairs to compare each."""
    labels, probabilities = sample()
    (weights,) = bootstrap_weights(np.arange(200), seed=3, n_samples=50)
    by_pairs = auc(labels, probabilities, weights)
    n_copies = 25
    many = np.tile(labels, n_copies)
    assert many.sum() * (1 - many).sum() > MAX_PAIRS > labels.sum() * (1 - labels).sum()
    sorted_ = auc(many, np.tile(probabilities, n_copies), np.tile(weights, n_copies))
    np.testing.assert_allclose(sorted_, by_pairs, rtol=1e-12)


def test_calibration_error_by_hand() -> None:
    labels = np.array([0, 1, 1, 1])
    probabilities = np.array([[0.05, 0.05, 0.85, 0.85]])
    # Bin 0: |(0 - .05) + (1 - .05)| = .9; bin 8: 2 * .15 = .3; (.9 + .3) / 4.
    assert calibration_error(labels, probabilities, np.ones((1, 4)))[0] == pytest.approx(0.3)
    drawn = np.array([[0, 0, 2, 2]])
    assert calibration_error(labels, probabilities, drawn)[0] == pytest.approx(0.15)


def test_bootstrap_samples_draw_copies_together() -> None:
    groups = np.array([4, 7, 4, 9])
    (weights,) = bootstrap_weights(groups, seed=0, n_samples=500)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), np.full(500, 3))
    assert abs(weights.mean() - 1) < 0.05


def test_many_rows_are_drawn_in_blocks() -> None:
    blocks = list(bootstrap_weights(np.arange(900_000), seed=0, n_samples=5))
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert all(block.sum() == len(block) * 900_000 for block in blocks)


def test_equal_models_do_not_differ_and_a_better_one_does() -> None:
    labels, probabilities = sample()
    same = compare(
        labels, np.arange(200), {"a": probabilities, "b": probabilities}, seed=1, n_splits=10
    )
    assert all((f.value, f.low, f.high) == (0, 0, 0) for f in same.differences.values())
    blunt = np.full_like(probabilities, labels.mean())
    better = compare(
        labels, np.arange(200), {"a": probabilities, "b": blunt}, seed=1, n_splits=10
    ).differences["log_loss"]
    assert better.low < better.value < better.high < 0


def test_the_interval_has_the_theoretical_width() -> None:
    """The standard error of accuracy is sqrt(p (1 - p) / n)."""
    labels, probabilities = sample(400, 1)
    accuracy = compare(
        labels, np.arange(400), {"a": probabilities, "b": probabilities}, seed=1, n_splits=10
    ).estimates["a"]["accuracy"]
    expected = 2 * 1.96 * np.sqrt(accuracy.value * (1 - accuracy.value) / 400)
    assert accuracy.high - accuracy.low == pytest.approx(expected, rel=0.1)


def test_a_table_with_shuffled_labels_is_many_standard_errors_worse() -> None:
    labels, probabilities = sample()
    shuffled = np.random.default_rng(0).permutation(labels)
    old, new = (
        compare(y, np.arange(200), {"a": probabilities, "b": probabilities}, seed=1, n_splits=10)
        for y in (labels, shuffled)
    )
    assert log_loss_rise_in_standard_errors(old, new) > 3
    assert log_loss_rise_in_standard_errors(old, old) == 0


def test_each_model_is_compared_with_the_baseline_independently() -> None:
    labels, probabilities = sample()
    predictions = {
        "a": probabilities,
        "b": np.sqrt(probabilities),
        "c": probabilities**2,
        "d": np.clip(probabilities + 0.1, 0, 0.99),
    }
    groups = np.arange(200)
    comparison = compare(
        labels, groups, predictions, seed=1, n_splits=10, baseline="c", skipped_models={"e": "slow"}
    )
    assert (comparison.model, comparison.baseline, comparison.skipped_models) == (
        "a",
        "c",
        {"e": "slow"},
    )
    assert list(comparison.estimates) == ["a", "b", "c", "d"]
    differences = comparison.differences_to_baseline()
    assert list(differences) == ["a", "b", "d"]
    for name in differences:
        pair = {name: predictions[name], "c": predictions["c"]}
        alone = compare(labels, groups, pair, seed=1, n_splits=10)
        assert differences[name] == alone.differences
        assert comparison.estimates[name] == alone.estimates[name]


def test_paired_intervals_are_narrower_than_those_of_either_model() -> None:
    labels, probabilities = sample()
    near = {"a": probabilities, "b": np.clip(probabilities + 0.01, 0.01, 0.99)}
    comparison = compare(labels, np.arange(200), near, seed=1, n_splits=10)

    def width(estimate: Estimate) -> float:
        return estimate.high - estimate.low

    assert (
        width(comparison.differences["log_loss"]) < width(comparison.estimates["a"]["log_loss"]) / 4
    )


def test_metrics_of_several_networks_are_means_over_the_networks() -> None:
    labels, probabilities = sample()
    groups = np.arange(200)
    networks = np.stack([probabilities, probabilities**2, np.sqrt(probabilities)])
    comparison = compare(labels, groups, {"n": networks, "b": probabilities}, seed=1, n_splits=10)
    alone = [
        compare(labels, groups, {"n": network, "b": probabilities}, seed=1, n_splits=10)
        for network in networks
    ]
    assert comparison.n_repeats == len(probabilities)
    for metric in METRICS:
        mean = np.mean([e.estimates["n"][metric].value for e in alone])
        assert comparison.estimates["n"][metric].value == pytest.approx(mean)
        mean_difference = np.mean([e.differences[metric].value for e in alone])
        assert comparison.differences[metric].value == pytest.approx(mean_difference)
    by_repeat = [
        np.mean([log_loss(labels, network[[r]], np.ones((1, 200)))[0] for network in networks])
        for r in range(len(probabilities))
    ]
    spread = comparison.estimates["n"]["log_loss"].sd_repeats
    assert spread == pytest.approx(np.std(by_repeat, ddof=1))


STORED = {
    "seed": 20241,
    "n_splits": 10,
    "n_repeats": 1,
    "n_patients": 303,
    "model": "default",
    "baseline": "logistic regression",
    "estimates": {
        "default": {"auc": {"value": 0.9, "low": 0.86, "high": 0.94}},
        "logistic regression": {"auc": {"value": 0.91, "low": 0.87, "high": 0.95}},
    },
    "differences": {"auc": {"value": -0.01, "low": -0.02, "high": 0.0}},
}
"""A comparison in a manifest, with the required fields only."""


def test_a_comparison_of_two_models_without_optional_fields_is_read() -> None:
    comparison = msgspec.convert(STORED, ModelComparison)
    assert comparison.differences_to_baseline() == {"default": {"auc": Estimate(-0.01, -0.02, 0.0)}}
    assert comparison.skipped_models == {}
    assert set(STORED) == set(msgspec.to_builtins(comparison))


def test_a_comparison_of_many_models_has_every_required_field() -> None:
    labels, probabilities = sample()
    many = dict.fromkeys("abc", probabilities)
    stored = msgspec.to_builtins(compare(labels, np.arange(200), many, seed=1, n_splits=10))
    assert set(STORED) < set(stored)
    assert set(stored["differences"]) == set(METRICS)
