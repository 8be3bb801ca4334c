from __future__ import annotations

import numpy as np
import pytest

from model.calibration import (
    METHODS,
    Method,
    RequestedMethod,
    check_requested_method,
    cross_fit,
    select_calibration,
)
from model.calibration.methods import fit_calibration
from model.errors import InvalidConfig
from model.evaluation import estimate_calibration, log_loss, repeated_folds
from model.logit import to_log_odds, to_probabilities


def sample(n: int = 303, repeats: int = 3, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes, and calibrated log-odds that vary slightly between repeats."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(scale=1.8, size=n)
    labels = (draw.uniform(size=n) < to_probabilities(truth)).astype(int)
    return labels, truth + draw.normal(scale=0.1, size=(repeats, n))


def distort_below_one_half(log_odds: np.ndarray) -> np.ndarray:
    """Return log-odds that are five times too extreme below 0, and unchanged above."""
    return np.where(log_odds < 0, log_odds * 5, log_odds)


def test_calibrated_log_odds_are_not_changed() -> None:
    labels, log_odds = sample()
    selection, after = select_calibration(labels, np.arange(303), log_odds, seed=1)
    assert selection.calibration.method == "none" and selection.requested == "auto"
    np.testing.assert_array_equal(after, log_odds)
    first, *others = selection.candidates.values()
    assert tuple(selection.candidates) == METHODS
    assert first.compared_with is None and first.difference is None
    assert all(candidate.compared_with == "none" for candidate in others)
    assert all(candidate.difference and candidate.difference.high > 0 for candidate in others)


@pytest.mark.parametrize(
    ("change", "n", "expected"),
    [
        (lambda x: x * 2.5, 303, "temperature"),
        (lambda x: x + 2, 303, "platt"),
        (distort_below_one_half, 1_000, "isotonic"),
    ],
)
def test_each_distortion_is_corrected_by_the_matching_method(
    change: object, n: int, expected: Method
) -> None:
    assert callable(change)
    labels, log_odds = sample(n)
    selection, after = select_calibration(labels, np.arange(n), change(log_odds), seed=1)
    method = selection.calibration.method
    assert method == expected
    difference = selection.candidates[method].difference
    assert difference and difference.high < 0
    assert selection.calibration == fit_calibration(method, labels, change(log_odds))
    estimates = estimate_calibration(labels, np.arange(n), after, seed=1, n_samples=50)
    assert estimates.slope and estimates.in_the_large
    assert estimates.slope.value == pytest.approx(1, abs=0.1)
    if method != "temperature":  # which does not change it
        assert estimates.in_the_large.value == pytest.approx(0, abs=0.1)


def test_log_losses_are_of_patients_that_the_calibration_was_not_fitted_to() -> None:
    labels, log_odds = sample()
    selection, after = select_calibration(
        labels, np.arange(303), log_odds, requested="isotonic", seed=1
    )
    weights = np.ones((1, 303))
    candidate, uncalibrated = selection.candidates["isotonic"], selection.candidates["none"]
    expected = log_loss(labels, to_probabilities(after), weights)[0]
    assert selection.calibration.method == "isotonic"
    assert candidate.log_loss.value == pytest.approx(expected)
    fitted_to_all = to_probabilities(selection.calibration.apply(log_odds))
    assert log_loss(labels, fitted_to_all, weights)[0] < candidate.log_loss.value
    assert candidate.difference
    difference = candidate.log_loss.value - uncalibrated.log_loss.value
    assert candidate.difference.value == pytest.approx(difference)


@pytest.mark.parametrize("method", METHODS)
def test_each_patient_is_calibrated_by_the_other_folds_of_all_repeats(method: Method) -> None:
    labels, log_odds = sample(120, repeats=2)
    groups = np.arange(120) // 2  # every record twice
    labels = labels[groups * 2]
    calibrated = cross_fit(method, labels, groups, log_odds, seed=4, n_splits=5)
    folds = list(repeated_folds(labels, groups, n_splits=5, n_repeats=2, seed=4))
    for number, (train, test) in enumerate(folds):
        assert not set(groups[train]) & set(groups[test])
        calibration = fit_calibration(method, labels[train], log_odds[:, train])
        expected = calibration.apply(log_odds[number // 5, test])
        np.testing.assert_allclose(calibrated[number // 5, test], expected)


def test_a_loss_without_probabilities_is_always_calibrated() -> None:
    labels, log_odds = sample()
    selection, _ = select_calibration(
        labels, np.arange(303), log_odds, gives_probabilities=False, seed=1
    )
    assert selection.calibration.method == "platt"
    assert tuple(selection.candidates) == ("platt", "isotonic")
    assert selection.candidates["isotonic"].compared_with == "platt"
    labels, log_odds = sample(1_000)
    selection, _ = select_calibration(
        labels,
        np.arange(1_000),
        distort_below_one_half(log_odds),
        gives_probabilities=False,
        seed=1,
    )
    assert selection.calibration.method == "isotonic"


@pytest.mark.parametrize("requested", ["none", "temperature"])
def test_methods_that_leave_a_score_are_refused(requested: RequestedMethod) -> None:
    check_requested_method(requested, gives_probabilities=True)
    with pytest.raises(InvalidConfig, match=f"received '{requested}'.*use auto, platt or isotonic"):
        check_requested_method(requested, gives_probabilities=False)
    labels, log_odds = sample()
    with pytest.raises(InvalidConfig):
        select_calibration(
            labels, np.arange(303), log_odds, requested=requested, gives_probabilities=False, seed=1
        )


def test_saturated_probabilities_can_be_calibrated() -> None:
    """In single precision, probabilities are 0 and 1 for log-odds beyond 17."""
    labels, log_odds = sample()
    saturated = to_log_odds(to_probabilities(log_odds * 30).astype(np.float32))
    selection, after = select_calibration(labels, np.arange(303), saturated, seed=1)
    assert selection.calibration.method != "none"
    assert np.isfinite(after).all()


@pytest.mark.slow
def test_calibrated_log_odds_are_rarely_changed() -> None:
    """Intervals are below zero by chance in fewer than 1 of 40 tables: calibration has a cost."""
    n_changed = 0
    for seed in range(200):
        labels, log_odds = sample(repeats=1, seed=seed)
        selection, _ = select_calibration(labels, np.arange(303), log_odds, seed=seed)
        n_changed += selection.calibration.method != "none"
    assert n_changed <= 5
