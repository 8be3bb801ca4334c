"""Whether log-odds mean what they say: calibration slope, intercept, and calibration in the large.

The outcome is regressed on the log-odds that were given, logit P(y = 1) = intercept + slope * x
(Cox, "Two further applications of a model for binary regression", 1958). Honest log-odds have slope
1 and intercept 0. A slope below 1 means that they are too extreme, as those of an overfitted
network are; one above 1, that they are too timid. Calibration in the large is the intercept with
the slope held at 1: above 0, there were more positive outcomes than the probabilities promised.
"""

from __future__ import annotations

import msgspec
import numpy as np

from model.evaluation.bootstrap import (
    N_BOOTSTRAP,
    Estimate,
    bootstrap_statistic,
    estimate_or_none,
    nan_mean,
)
from model.logit import to_probabilities

MAX_NEWTON_STEPS = 25


MAX_NEWTON_STEP = 2.0


NEWTON_TOLERANCE = 1e-9


NEWTON_CELLS_PER_BLOCK = 2**16  # half a MiB, so that the steps of a block stay in a core's cache


class CalibrationEstimates(msgspec.Struct, frozen=True):
    """Calibration of log-odds, each figure with its 95 % interval over patients.

    None where no line has the greatest likelihood: the log-odds separate the outcomes.

    Attributes:
        slope, intercept: of the regression of the outcome on the log-odds.
        in_the_large: the intercept with the slope held at 1.
    """

    slope: Estimate | None
    intercept: Estimate | None
    in_the_large: Estimate | None


def estimate_calibration(
    labels: np.ndarray,
    groups: np.ndarray,
    log_odds: np.ndarray,
    *,
    seed: int,
    n_samples: int = N_BOOTSTRAP,
) -> CalibrationEstimates:
    """Slope, intercept and calibration in the large, each the mean over the repeats.

    A bootstrap sample that the log-odds separate without an error has no finite slope, and is
    left out of the intervals.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        log_odds: (n_repeats, n), given by networks that did not see the patient.
        seed: of the bootstrap; equal seeds draw the same patients for every figure.
    """
    everyone = np.ones((1, len(labels)))
    repeats = _coefficients(labels, log_odds, everyone)[:, 0]
    draws = bootstrap_statistic(
        lambda weights: nan_mean(_coefficients(labels, log_odds, weights)).T,
        groups,
        seed=seed,
        n_samples=n_samples,
    )
    slope, intercept, in_the_large = map(estimate_or_none, draws.T, repeats)
    return CalibrationEstimates(slope, intercept, in_the_large)


def _coefficients(labels: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(3, b, n_repeats): slope, intercept and calibration in the large."""
    lines = [fit_logistic_line(repeat, labels, weights) for repeat in log_odds]
    shifts = [fit_logistic_line(repeat, labels, weights, slope=1.0)[1] for repeat in log_odds]
    return np.stack([*np.swapaxes(lines, 0, 1), np.array(shifts)]).swapaxes(1, 2)


def fit_logistic_line(
    log_odds: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    *,
    slope: float | None = None,
    intercept: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Maximum likelihood of P(y = 1) = logistic(intercept + slope * x), for many weightings at once.

    Newton's method; the likelihood is concave, so there is one maximum or none.

    Args:
        log_odds: (n,), of any size and offset.
        targets: (n,) of 0 to 1.
        weights: (b, n), not negative.
        slope, intercept: held at this number rather than fitted.

    Returns:
        Slopes (b,) and intercepts (b,); NaN for a weighting without a finite maximum, as where all
        outcomes are the same or a threshold separates them.

    >>> x = np.array([-1.0, 1.0])
    >>> s, i = fit_logistic_line(x, np.array([0.25, 0.75]), np.ones((1, 2)))
    >>> round(float(s[0]), 4), float(i[0])  # the log-odds of 0.75 are log(3)
    (1.0986, 0.0)
    """
    scale = float(np.sqrt(np.mean(np.square(log_odds)))) or 1.0  # the unit of a step of the slope
    x = np.asarray(log_odds, np.float64) / scale
    free = np.array([slope is None, intercept is None])
    start = np.array([[0.0 if slope is None else slope * scale, intercept or 0.0]])
    whole = _maximise(x, targets, weights.sum(axis=0, keepdims=True), start, free)
    if np.isfinite(whole).all():
        start = whole
    found = np.empty((len(weights), 2))
    block = max(1, NEWTON_CELLS_PER_BLOCK // len(x))
    for first in range(0, len(weights), block):
        part = weights[first : first + block]
        found[first : first + block] = _maximise(x, targets, part, start, free)
    return found[:, 0] / scale, found[:, 1]


def _maximise(
    x: np.ndarray, targets: np.ndarray, weights: np.ndarray, start: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """(b, 2): slope and intercept for each weighting; NaN where Newton's method does not settle."""
    line = np.repeat(start, len(weights), axis=0)
    first_order, second_order = (
        np.stack([x, np.ones_like(x)], 1),
        np.stack([x * x, x, x * 0 + 1], 1),
    )
    settled = np.zeros(len(weights), bool)
    for _ in range(MAX_NEWTON_STEPS):
        p = to_probabilities(line[:, :1] * x + line[:, 1:])
        slopes, intercepts = ((weights * (targets - p)) @ first_order).T
        p *= 1 - p
        p *= weights
        xx, x1, one = (p @ second_order).T
        with np.errstate(divide="ignore", invalid="ignore"):
            if free.all():
                step = np.stack([one * slopes - x1 * intercepts, xx * intercepts - x1 * slopes], 1)
                step /= (xx * one - x1 * x1)[:, None]
            else:
                step = np.stack([slopes / xx, intercepts / one], 1) * free
        # A full step from far away may overshoot.
        line += np.clip(step, -MAX_NEWTON_STEP, MAX_NEWTON_STEP)
        settled = np.abs(step).max(axis=1) < NEWTON_TOLERANCE
        if settled.all():
            break
    return np.where(settled[:, None], line, np.nan)
