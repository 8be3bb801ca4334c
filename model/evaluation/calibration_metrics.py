"""Calibration metrics: calibration slope, intercept, and calibration in the large.

The outcome is regressed on the predicted log-odds x, logit P(y = 1) = intercept + slope * x (Cox,
"Two further applications of a model for binary regression", 1958). Calibrated log-odds have slope 1
and intercept 0. A slope below 1 means that the predictions are too extreme, like those of an
overfitted network. A slope above 1 means that they are not extreme enough. Calibration in the large
is the intercept with the slope fixed at 1. It is above 0 if there are more positive outcomes than
the probabilities predict.
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
NEWTON_CELLS_PER_BLOCK = 2**16
"""Numbers that are fitted together, half a MiB, so that they stay in a core's cache."""


class CalibrationEstimates(msgspec.Struct, frozen=True):
    """Calibration metrics of log-odds, each with its 95 % interval over patients.

    A metric is None if the likelihood has no maximum, because the log-odds separate the outcomes.

    Attributes:
        slope, intercept: of the regression of the outcome on the log-odds.
        in_the_large: the intercept with the slope fixed at 1.
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
    """Estimate slope, intercept and calibration in the large, each the mean over the repeats.

    A bootstrap sample in which the log-odds separate the outcomes has no finite slope. The
    intervals ignore it.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        log_odds: (n_repeats, n), of networks that were not trained on the patient.
        seed: of the bootstrap; equal seeds draw the same patients for every estimate.
    """
    repeats = _coefficients(labels, log_odds, np.ones((1, len(labels))))[:, 0]
    draws = bootstrap_statistic(
        lambda weights: nan_mean(_coefficients(labels, log_odds, weights)).T,
        groups,
        seed=seed,
        n_samples=n_samples,
    )
    slope, intercept, in_the_large = map(estimate_or_none, draws.T, repeats)
    return CalibrationEstimates(slope, intercept, in_the_large)


def _coefficients(labels: np.ndarray, log_odds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return slope, intercept and calibration in the large, (3, b, n_repeats)."""
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
    """Fit P(y = 1) = logistic(intercept + slope * x) by maximum likelihood for many weightings.

    The method is Newton's. The log-likelihood is concave, so it has one maximum or none.

    Args:
        log_odds: (n,), of any scale and offset.
        targets: (n,), 0 to 1.
        weights: (b, n), not negative.
        slope, intercept: fixed at this value; fitted if None.

    Returns:
        Slopes (b,) and intercepts (b,); NaN for a weighting without a finite maximum, for example
        if all outcomes are equal or a threshold separates them.

    >>> x = np.array([-1.0, 1.0])
    >>> s, i = fit_logistic_line(x, np.array([0.25, 0.75]), np.ones((1, 2)))
    >>> round(float(s[0]), 4), float(i[0])  # the log-odds of 0.75 are log(3)
    (1.0986, 0.0)
    """
    # Log-odds of unit size, because the largest step of the slope is absolute.
    scale = float(np.sqrt(np.mean(np.square(log_odds)))) or 1.0
    x = np.asarray(log_odds, np.float64) / scale
    free = np.array([slope is None, intercept is None])
    start = np.array([[0.0 if slope is None else slope * scale, intercept or 0.0]])
    total = _maximise(x, targets, weights.sum(axis=0, keepdims=True), start, free)
    if np.isfinite(total).all():
        start = total
    lines = np.empty((len(weights), 2))
    block_size = max(1, NEWTON_CELLS_PER_BLOCK // len(x))
    for first in range(0, len(weights), block_size):
        block = slice(first, first + block_size)
        lines[block] = _maximise(x, targets, weights[block], start, free)
    return lines[:, 0] / scale, lines[:, 1]


def _maximise(
    x: np.ndarray, targets: np.ndarray, weights: np.ndarray, start: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Return slope and intercept of each weighting, (b, 2); NaN if the method does not converge."""
    line = np.repeat(start, len(weights), axis=0)
    ones = np.ones_like(x)
    first_order, second_order = np.stack([x, ones], 1), np.stack([x * x, x, ones], 1)
    converged = np.zeros(len(weights), bool)
    for _ in range(MAX_NEWTON_STEPS):
        p = to_probabilities(line[:, :1] * x + line[:, 1:])
        slopes, intercepts = ((weights * (targets - p)) @ first_order).T
        p *= 1 - p
        p *= weights
        h_xx, h_x1, h_11 = (p @ second_order).T  # negative Hessian of the log-likelihood
        with np.errstate(divide="ignore", invalid="ignore"):
            if free.all():
                step = np.stack(
                    [h_11 * slopes - h_x1 * intercepts, h_xx * intercepts - h_x1 * slopes], 1
                )
                step /= (h_xx * h_11 - h_x1 * h_x1)[:, None]
            else:
                step = np.stack([slopes / h_xx, intercepts / h_11], 1) * free
        # A full step far from the maximum may overshoot.
        line += np.clip(step, -MAX_NEWTON_STEP, MAX_NEWTON_STEP)
        converged = np.abs(step).max(axis=1) < NEWTON_TOLERANCE
        if converged.all():
            break
    return np.where(converged[:, None], line, np.nan)
