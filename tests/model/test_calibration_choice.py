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
    """Outcomes, and honest log-odds that differ a little between repeats."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(scale=1.8, size=n)
    labels = (draw.uniform(size=n) < to_probabilities(truth)).astype(int)
    return labels, truth + draw.normal(scale=0.1, size=(repeats, n))


def bent(log_odds: np.ndarray) -> np.ndarray:
    """Honest above even odds, and five times too extreme below."""
    return np.where(log_odds < 0, log_odds * 5, log_odds)


def test_honest_log_odds_are_left_alone() -> None:
    labels, log_odds = sample()
    choice, after = select_calibration(labels, np.arange(303), log_odds, seed=1)
    assert choice.calibration.method == "none" and choice.requested == "auto"
    np.testing.assert_array_equal(after, log_odds)
    first, *others = choice.candidates.values()
    assert tuple(choice.candidates) == METHODS
    assert first.compared_with is None and first.difference is None
    assert all(trial.compared_with == "none" for trial in others)
    assert all(trial.difference and trial.difference.high > 0 for trial in others)


@pytest.mark.parametrize(
    ("change", "n", "expected"),
    [
        (lambda x: x * 2.5, 303, "temperature"),
        (lambda x: x + 2, 303, "platt"),
        (bent, 1_000, "isotonic"),
    ],
)
def test_what_is_wrong_is_put_right_by_the_method_that_can(
    change: object, n: int, expected: Method
) -> None:
    assert callable(change)
    labels, log_odds = sample(n)
    choice, after = select_calibration(labels, np.arange(n), change(log_odds), seed=1)
    taken = choice.calibration.method
    assert taken == expected
    difference = choice.candidates[taken].difference
    assert difference and difference.high < 0
    assert choice.calibration == fit_calibration(taken, labels, change(log_odds))
    found = estimate_calibration(labels, np.arange(n), after, seed=1, n_samples=50)
    assert found.slope and found.in_the_large
    assert found.slope.value == pytest.approx(1, abs=0.1)
    if taken != "temperature":  # which leaves it as it was
        assert found.in_the_large.value == pytest.approx(0, abs=0.1)


def test_figures_are_those_of_patients_that_the_calibration_did_not_see() -> None:
    labels, log_odds = sample()
    choice, after = select_calibration(
        labels, np.arange(303), log_odds, requested="isotonic", seed=1
    )
    everyone = np.ones((1, 303))
    trial, plain = choice.candidates["isotonic"], choice.candidates["none"]
    expected = log_loss(labels, to_probabilities(after), everyone)[0]
    assert choice.calibration.method == "isotonic"
    assert trial.log_loss.value == pytest.approx(expected)
    seen = to_probabilities(choice.calibration.apply(log_odds))
    assert log_loss(labels, seen, everyone)[0] < trial.log_loss.value
    assert trial.difference
    difference = trial.log_loss.value - plain.log_loss.value
    assert trial.difference.value == pytest.approx(difference)


@pytest.mark.parametrize("method", METHODS)
def test_every_patient_is_calibrated_by_the_others_of_all_repeats(method: Method) -> None:
    labels, log_odds = sample(120, repeats=2)
    groups = np.arange(120) // 2  # every record twice
    labels = labels[groups * 2]
    found = cross_fit(method, labels, groups, log_odds, seed=4, n_splits=5)
    folds = list(repeated_folds(labels, groups, n_splits=5, n_repeats=2, seed=4))
    for number, (train, test) in enumerate(folds):
        assert not set(groups[train]) & set(groups[test])
        fitted = fit_calibration(method, labels[train], log_odds[:, train])
        expected = fitted.apply(log_odds[number // 5, test])
        np.testing.assert_allclose(found[number // 5, test], expected)


def test_a_loss_that_gives_no_probabilities_is_always_calibrated() -> None:
    labels, log_odds = sample()
    choice, _ = select_calibration(
        labels, np.arange(303), log_odds, gives_probabilities=False, seed=1
    )
    assert choice.calibration.method == "platt"
    assert tuple(choice.candidates) == ("platt", "isotonic")
    assert choice.candidates["isotonic"].compared_with == "platt"
    labels, log_odds = sample(1_000)
    choice, _ = select_calibration(
        labels, np.arange(1_000), bent(log_odds), gives_probabilities=False, seed=1
    )
    assert choice.calibration.method == "isotonic"


@pytest.mark.parametrize("requested", ["none", "temperature"])
def test_a_score_is_never_passed_off_as_a_probability(requested: RequestedMethod) -> None:
    check_requested_method(requested, gives_probabilities=True)
    with pytest.raises(InvalidConfig, match=f"received '{requested}'.*use auto, platt or isotonic"):
        check_requested_method(requested, gives_probabilities=False)
    labels, log_odds = sample()
    with pytest.raises(InvalidConfig):
        select_calibration(
            labels, np.arange(303), log_odds, requested=requested, gives_probabilities=False, seed=1
        )


def test_saturated_probabilities_can_be_calibrated() -> None:
    """Single precision says 0 and 1 of log-odds beyond 17."""
    labels, log_odds = sample()
    saturated = to_log_odds(to_probabilities(log_odds * 30).astype(np.float32))
    choice, after = select_calibration(labels, np.arange(303), saturated, seed=1)
    assert choice.calibration.method != "none"
    assert np.isfinite(after).all()


@pytest.mark.slow
def test_honest_log_odds_are_seldom_touched() -> None:
    """An interval that lies below zero by chance is rarer than 1 in 40: calibrating costs something."""
    taken = 0
    for seed in range(200):
        labels, log_odds = sample(repeats=1, seed=seed)
        choice, _ = select_calibration(labels, np.arange(303), log_odds, seed=seed)
        taken += choice.calibration.method != "none"
    assert taken <= 5
