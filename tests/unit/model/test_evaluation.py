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
    return labels, np.clip(
        np.round(truth + noise, 2), 0.01, 0.99
    )  # rounded, so that there are ties


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("auc", theirs.roc_auc_score),
        ("log_loss", theirs.log_loss),
        ("brier", theirs.brier_score_loss),
        ("accuracy", lambda y, p, sample_weight: theirs.accuracy_score(y, p >= 0.5, sample_weight=sample_weight)),
    ],
)  # fmt: skip
def test_figures_are_scikit_learns_for_every_bootstrap_sample(name: str, reference: object) -> None:
    assert callable(reference)
    labels, probabilities = sample()
    (weights,) = bootstrap_weights(np.arange(200), seed=3, n_samples=5)
    expected = [
        np.mean([reference(labels, p, sample_weight=w) for p in probabilities]) for w in weights
    ]
    np.testing.assert_allclose(METRICS[name](labels, probabilities, weights), expected, rtol=1e-9)


def test_a_large_table_is_sorted_and_has_the_same_auc() -> None:
    """Copies of a table have its figure; so many have too many pairs to look at each."""
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


def test_many_rows_are_drawn_in_parts() -> None:
    parts = list(bootstrap_weights(np.arange(900_000), seed=0, n_samples=5))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert all(part.sum() == len(part) * 900_000 for part in parts)


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


def test_the_interval_has_the_width_that_theory_gives() -> None:
    """Of accuracy, whose standard error is known: sqrt(p (1 - p) / n)."""
    labels, probabilities = sample(400, 1)
    found = compare(
        labels, np.arange(400), {"a": probabilities, "b": probabilities}, seed=1, n_splits=10
    ).estimates["a"]["accuracy"]
    expected = 2 * 1.96 * np.sqrt(found.value * (1 - found.value) / 400)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)


def test_a_table_with_shuffled_labels_is_many_standard_errors_worse() -> None:
    labels, probabilities = sample()
    shuffled = np.random.default_rng(0).permutation(labels)
    old, new = (
        compare(y, np.arange(200), {"a": probabilities, "b": probabilities}, seed=1, n_splits=10)
        for y in (labels, shuffled)
    )
    assert log_loss_rise_in_standard_errors(old, new) > 3
    assert log_loss_rise_in_standard_errors(old, old) == 0


def test_every_model_is_compared_with_the_baseline_as_if_they_were_alone() -> None:
    labels, probabilities = sample()
    predictions = {
        "a": probabilities,
        "b": np.sqrt(probabilities),
        "c": probabilities**2,
        "d": np.clip(probabilities + 0.1, 0, 0.99),
    }
    groups = np.arange(200)
    found = compare(
        labels, groups, predictions, seed=1, n_splits=10, baseline="c", skipped_models={"e": "slow"}
    )
    assert (found.model, found.baseline, found.skipped_models) == ("a", "c", {"e": "slow"})
    assert list(found.estimates) == ["a", "b", "c", "d"]
    beside = found.differences_to_baseline()
    assert list(beside) == ["a", "b", "d"]
    for name in beside:
        pair = {name: predictions[name], "c": predictions["c"]}
        alone = compare(labels, groups, pair, seed=1, n_splits=10)
        assert beside[name] == alone.differences
        assert found.estimates[name] == alone.estimates[name]


def test_paired_intervals_are_narrower_than_those_of_either_model() -> None:
    labels, probabilities = sample()
    near = {"a": probabilities, "b": np.clip(probabilities + 0.01, 0.01, 0.99)}
    found = compare(labels, np.arange(200), near, seed=1, n_splits=10)

    def width(figure: Estimate) -> float:
        return figure.high - figure.low

    assert width(found.differences["log_loss"]) < width(found.estimates["a"]["log_loss"]) / 4


def test_figures_of_several_networks_are_the_means_of_each_alone() -> None:
    labels, probabilities = sample()
    groups = np.arange(200)
    several = np.stack([probabilities, probabilities**2, np.sqrt(probabilities)])
    found = compare(labels, groups, {"n": several, "b": probabilities}, seed=1, n_splits=10)
    alone = [
        compare(labels, groups, {"n": one, "b": probabilities}, seed=1, n_splits=10)
        for one in several
    ]
    assert found.n_repeats == len(probabilities)
    for metric in METRICS:
        mean = np.mean([e.estimates["n"][metric].value for e in alone])
        assert found.estimates["n"][metric].value == pytest.approx(mean)
        beside = np.mean([e.differences[metric].value for e in alone])
        assert found.differences[metric].value == pytest.approx(beside)
    by_repeat = [
        np.mean([log_loss(labels, one[[r]], np.ones((1, 200)))[0] for one in several])
        for r in range(len(probabilities))
    ]
    spread = found.estimates["n"]["log_loss"].sd_repeats
    assert spread == pytest.approx(np.std(by_repeat, ddof=1))


STORED = {
    "seed": 20241, "n_splits": 10, "n_repeats": 1, "n_patients": 303,
    "model": "default", "baseline": "logistic regression",
    "estimates": {
        "default": {"auc": {"value": 0.9, "low": 0.86, "high": 0.94, "sd_repeats": 0.0}},
        "logistic regression": {"auc": {"value": 0.91, "low": 0.87, "high": 0.95, "sd_repeats": 0.0}},
    },
    "differences": {"auc": {"value": -0.01, "low": -0.02, "high": 0.0, "sd_repeats": 0.0}},
}  # fmt: skip
"""As the manifests of the first release hold it."""


def test_an_evaluation_of_two_models_in_an_older_manifest_is_read() -> None:
    found = msgspec.convert(STORED, ModelComparison)
    assert found.differences_to_baseline() == {"default": {"auc": Estimate(-0.01, -0.02, 0.0)}}
    assert found.skipped_models == {}
    assert set(STORED) == set(msgspec.to_builtins(found)), "two models are stored as before"


def test_an_evaluation_of_many_models_has_every_field_of_the_older_manifests() -> None:
    """An older release reads those and passes over the others."""
    labels, probabilities = sample()
    many = dict.fromkeys("abc", probabilities)
    stored = msgspec.to_builtins(compare(labels, np.arange(200), many, seed=1, n_splits=10))
    assert set(STORED) < set(stored)
    assert set(stored["differences"]) == set(METRICS)
