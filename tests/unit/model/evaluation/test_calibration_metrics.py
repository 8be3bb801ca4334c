from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model.evaluation import N_BOOTSTRAP, Estimate, estimate_calibration, fit_logistic_line
from model.evaluation.bootstrap import bootstrap_weights
from model.logit import to_log_odds, to_probabilities


def sample(slope: float, intercept: float, n: int = 303, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Return outcomes and log-odds with a known true line."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(scale=2, size=n)
    labels = (draw.uniform(size=n) < to_probabilities(truth)).astype(int)
    return labels, ((truth - intercept) / slope)[None]


def estimates_by_name(
    labels: np.ndarray,
    log_odds: np.ndarray,
    groups: np.ndarray | None = None,
    n_samples: int = N_BOOTSTRAP,
) -> dict[str, Estimate]:
    """Return the estimates by name; none may be missing."""
    groups = np.arange(len(labels)) if groups is None else groups
    estimates = estimate_calibration(labels, groups, log_odds, seed=1, n_samples=n_samples)
    assert estimates.slope and estimates.intercept and estimates.in_the_large
    return msgspec.structs.asdict(estimates)


def test_log_odds_and_probabilities_are_inverse_and_never_infinite() -> None:
    p = np.array([1e-6, 0.25, 0.5, 0.999])
    np.testing.assert_allclose(to_probabilities(to_log_odds(p)), p, rtol=1e-9)
    assert np.isfinite(to_log_odds(np.array([0.0, 1.0]))).all()
    assert to_probabilities(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


def test_the_line_equals_scikit_learns_for_every_bootstrap_sample() -> None:
    labels, (log_odds,) = sample(0.5, -1.0)
    (weights,) = bootstrap_weights(np.arange(303), seed=2, n_samples=4)
    slopes, intercepts = fit_logistic_line(log_odds, labels, weights)
    for slope, intercept, weight in zip(slopes, intercepts, weights, strict=True):
        reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1_000)
        reference.fit(log_odds[:, None], labels, sample_weight=weight)
        assert slope == pytest.approx(reference.coef_[0, 0], rel=1e-4)
        assert intercept == pytest.approx(reference.intercept_[0], rel=1e-4)


def test_a_line_with_a_fixed_coefficient_maximises_the_likelihood() -> None:
    labels, (log_odds,) = sample(0.7, 0.4)
    ones = np.ones((1, 303))

    def loss(slope: float, intercept: float) -> float:
        p = to_probabilities(intercept + slope * log_odds)
        return float(-np.log(np.where(labels == 1, p, 1 - p)).sum())

    fixed_slope, intercepts = fit_logistic_line(log_odds, labels, ones, slope=1.0)
    assert fixed_slope[0] == 1.0
    slopes, fixed_intercept = fit_logistic_line(log_odds, labels, ones, intercept=0.0)
    assert fixed_intercept[0] == 0.0
    for small in (-0.01, 0.01):
        assert loss(1.0, intercepts[0]) < loss(1.0, intercepts[0] + small)
        assert loss(slopes[0], 0.0) < loss(slopes[0] + small, 0.0)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_line_is_equivariant_in_the_scale_of_the_scores(size: float) -> None:
    labels, (log_odds,) = sample(1.0, 0.0)
    ones = np.ones((1, 303))
    slope, intercept = fit_logistic_line(log_odds, labels, ones)
    scaled_slope, scaled_intercept = fit_logistic_line(log_odds * size, labels, ones)
    assert scaled_slope[0] * size == pytest.approx(slope[0], rel=1e-6)
    assert scaled_intercept[0] == pytest.approx(intercept[0], rel=1e-6)


def test_separated_and_equal_outcomes_have_no_line() -> None:
    log_odds = np.array([-2.0, -1.0, 1.0, 2.0])
    for labels in ([0, 0, 1, 1], [1, 1, 1, 1]):
        slope, intercept = fit_logistic_line(log_odds, np.array(labels), np.ones((1, 4)))
        assert np.isnan(slope[0]) and np.isnan(intercept[0])


def test_a_sample_without_a_line_does_not_affect_others() -> None:
    """The second sample leaves out the two patients that overlap."""
    log_odds, labels = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 1, 0, 1])
    weights = np.array([[1.0, 1, 1, 1], [1, 0, 0, 1], [2, 1, 1, 2]])
    slopes, intercepts = fit_logistic_line(log_odds, labels, weights)
    assert np.isfinite(slopes).tolist() == [True, False, True]
    assert np.isfinite(intercepts).tolist() == [True, False, True]


def test_calibration_in_the_large_shifts_the_mean_probability_to_the_prevalence() -> None:
    labels, log_odds = sample(0.6, 0.9)
    shift = estimates_by_name(labels, log_odds, n_samples=20)["in_the_large"].value
    assert to_probabilities(log_odds[0] + shift).mean() == pytest.approx(labels.mean(), abs=1e-9)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 0.8)])
def test_known_miscalibration_is_estimated(slope: float, intercept: float) -> None:
    """With 20,000 patients the error is a few hundredths."""
    labels, log_odds = sample(slope, intercept, n=20_000)
    estimates = estimates_by_name(labels, log_odds, n_samples=50)
    assert estimates["slope"].value == pytest.approx(slope, rel=0.05)
    assert estimates["intercept"].value == pytest.approx(intercept, abs=0.08)
    assert estimates["slope"].low < estimates["slope"].value < estimates["slope"].high
    if slope == 1:
        assert estimates["in_the_large"].value == pytest.approx(intercept, abs=0.08)


def test_the_interval_has_the_theoretical_width() -> None:
    """The standard error of the slope is the square root of the inverse Fisher information."""
    labels, log_odds = sample(1.0, 0.0, n=1_000)
    estimate = estimates_by_name(labels, log_odds)["slope"]
    design = np.stack([log_odds[0], np.ones(1_000)])
    p = to_probabilities(log_odds[0])
    expected = np.sqrt(np.linalg.inv(design * p * (1 - p) @ design.T)[0, 0])
    assert (estimate.high - estimate.low) / (2 * 1.96) == pytest.approx(expected, rel=0.15)


def test_estimates_are_means_over_the_repeats() -> None:
    labels, log_odds = sample(1.0, 0.0)
    alone = estimates_by_name(labels, log_odds, n_samples=20)
    estimates = estimates_by_name(labels, np.concatenate([log_odds, log_odds * 2]), n_samples=20)
    slope = alone["slope"]
    assert estimates["slope"].value == pytest.approx(slope.value * 0.75)
    assert estimates["slope"].low == pytest.approx(slope.low * 0.75)
    assert estimates["intercept"].value == pytest.approx(alone["intercept"].value)


def test_copies_of_a_record_are_drawn_together() -> None:
    """Copies add no information: the interval keeps its width."""
    labels, log_odds = sample(1.0, 0.0, n=150)
    once = estimates_by_name(labels, log_odds)["slope"]
    groups = np.tile(np.arange(150), 2)
    twice = estimates_by_name(np.tile(labels, 2), np.tile(log_odds, 2), groups=groups)["slope"]
    assert twice.high - twice.low == pytest.approx(once.high - once.low)


def test_log_odds_that_separate_the_outcomes_have_no_slope() -> None:
    labels = np.repeat([0, 1], 20)
    estimates = estimate_calibration(labels, np.arange(40), (labels * 4.0 - 2)[None], seed=1)
    assert estimates.slope is None and estimates.intercept is None
    assert estimates.in_the_large is not None
