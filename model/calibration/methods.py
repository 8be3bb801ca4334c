"""Calibration methods: Platt scaling, temperature scaling, and smoothed isotonic regression.

Each method fits an increasing map from the network's log-odds to calibrated log-odds. The network
absorbs the map, as a change of the last layer's weights or as further layers. Saved weights, graph,
gradients and explanations are then those of the calibrated network, and serving needs no further
step.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from model.evaluation import fit_logistic_line
from model.inference import DenseLayer
from model.logit import to_log_odds

Method = Literal["none", "temperature", "platt", "isotonic"]
METHODS: tuple[Method, ...] = ("none", "temperature", "platt", "isotonic")
"""From the simplest to the most flexible."""
METHOD_NAMES: dict[Method, str] = {
    "none": "none",
    "temperature": "temperature scaling",
    "platt": "Platt scaling",
    "isotonic": "isotonic regression",
}
RequestedMethod = Literal["auto"] | Method
MAX_SLOPE_RATIO = 3.0
"""Steps of the isotonic map are merged until its slope is at most so many times that of Platt
scaling. A steeper slope rests on a few patients, and it amplifies rounding errors."""
SUM_TOLERANCE = 1e-12
"""Largest difference of two sums of the same outcomes, which is not an increase."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A map from log-odds to calibrated log-odds; ``calibration.json`` of an artifact.

    Attributes:
        slope: of the line; for ``isotonic``, of the map outside the outer knots.
        intercept: of the line; 0 for ``isotonic``.
        knots: increasing log-odds of the network, for ``isotonic``.
        values: increasing calibrated log-odds at the knots; the map is linear between them.

    Raises:
        ValueError: a number is not finite, knots or values do not increase, or they do not fit the
            method.
    """

    method: Method = "none"
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = np.array([self.slope, self.intercept, *self.knots, *self.values])
        increasing = (np.diff(self.knots) > 0).all() and (np.diff(self.values) > 0).all()
        if not (np.isfinite(numbers).all() and increasing and len(self.knots) == len(self.values)):
            raise ValueError(
                "a calibration needs finite numbers, and increasing knots with increasing values"
            )
        if (self.method == "isotonic") != bool(self.knots):
            raise ValueError("isotonic calibration needs knots; other methods have none")

    def apply(self, log_odds: np.ndarray) -> np.ndarray:
        """Return calibrated log-odds, float64 of the same shape."""
        x = np.asarray(log_odds, np.float64)
        if not self.knots:
            return self.intercept + self.slope * x
        outside = x - np.clip(x, self.knots[0], self.knots[-1])
        return np.interp(x, self.knots, self.values) + self.slope * outside

    def layers(self) -> list[DenseLayer]:
        """Return the layers to append to a network whose last unit is linear; empty for a line.

        A piecewise linear map is a sum of ReLUs: a layer with relu, then one sigmoid unit. The sum
        starts at the knot whose calibrated probability is nearest to .5, and each knot further out
        adds a change of slope. So terms are large, with larger rounding errors, only where the
        probability hardly changes.

        **Shape** of the layers together: (n, 1) → (n, 1).
        """
        if not self.knots:
            return []
        knots, values = np.array(self.knots), np.array(self.values)
        slopes = np.array([self.slope, *np.diff(values) / np.diff(knots), self.slope])
        middle = int(np.abs(values).argmin())
        above, below = slopes[middle + 1 :], slopes[middle::-1]
        slope_changes = [*np.diff(above, prepend=0.0), *-np.diff(below, prepend=0.0)]
        signs = [1.0] * len(above) + [-1.0] * len(below)
        starts = np.array([*knots[middle:], *knots[middle::-1]])
        return [
            DenseLayer(
                kernel=[signs], bias=(-np.array(signs) * starts).tolist(), activation="relu"
            ),
            DenseLayer(
                kernel=[[float(change)] for change in slope_changes],
                bias=[float(values[middle])],
                activation="sigmoid",
            ),
        ]


def fit_calibration(
    method: Method,
    labels: np.ndarray,
    log_odds: np.ndarray,
    *,
    max_slope_ratio: float = MAX_SLOPE_RATIO,
) -> Calibration:
    """Fit a calibration to log-odds of patients that the network was not trained on.

    All methods fit Platt's targets instead of 0 and 1: with m positive and k negative patients
    (m + 1) / (m + 2) and 1 / (k + 2), the posterior means under uniform priors (Platt,
    "Probabilistic outputs for support vector machines", 1999). They keep the line finite if a
    threshold separates the outcomes, and the isotonic map away from probabilities of 0 and 1.

    Args:
        labels: (n,), with 0 and 1 both present.
        log_odds: (n_repeats, n); all repeats have the same weight.
        max_slope_ratio: largest slope of an isotonic map, as a multiple of that of Platt scaling.
    """
    n_positive = float(labels.sum())
    targets = np.where(
        labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (len(labels) - n_positive + 2)
    )
    x, y = log_odds.reshape(-1), np.tile(targets, len(log_odds))
    if method == "none":
        return Calibration()
    if method == "isotonic":
        return _fit_isotonic(x, y, max_slope_ratio)
    slope, intercept = _fit_increasing_line(x, y, through_zero=method == "temperature")
    return Calibration(method=method, slope=slope, intercept=intercept)


def _fit_increasing_line(
    x: np.ndarray, y: np.ndarray, *, through_zero: bool
) -> tuple[float, float]:
    """Fit slope and intercept of Platt scaling; the slope is 0 if it would be negative.

    Args:
        through_zero: fix the intercept at 0, as in temperature scaling with the temperature
            1 / slope (Guo and others, "On calibration of modern neural networks", ICML 2017).
    """
    ones = np.ones((1, len(x)))
    slopes, intercepts = fit_logistic_line(x, y, ones, intercept=0.0 if through_zero else None)
    if slopes[0] > 0:
        return float(slopes[0]), float(intercepts[0])
    return 0.0, 0.0 if through_zero else float(to_log_odds(y.mean()))


def _fit_isotonic(x: np.ndarray, y: np.ndarray, max_slope_ratio: float) -> Calibration:
    """Fit isotonic regression, with its steps replaced by a piecewise linear map.

    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates", KDD 2002. Each step becomes one knot at the mean of its log-odds, and the map is
    linear between knots. So it is strictly increasing and keeps the order of the patients. Outside
    the outer knots it has the slope of Platt scaling.
    """
    slope, _ = _fit_increasing_line(x, y, through_zero=False)
    distinct, index = np.unique(x, return_inverse=True)
    weights = np.bincount(index).astype(np.float64)
    means = np.bincount(index, y) / weights
    starts = pool_adjacent_violators(means, weights)
    knots, values, weights = (
        np.add.reduceat(distinct * weights, starts) / np.add.reduceat(weights, starts),
        np.add.reduceat(means * weights, starts) / np.add.reduceat(weights, starts),
        np.add.reduceat(weights, starts),
    )
    slopes = np.diff(to_log_odds(values)) / np.diff(knots)
    while len(slopes) and slopes.max() > max_slope_ratio * slope:
        knots, values, weights = _merge_steps(int(slopes.argmax()), knots, values, weights)
        slopes = np.diff(to_log_odds(values)) / np.diff(knots)
    return Calibration(
        method="isotonic",
        slope=slope,
        knots=tuple(knots.tolist()),
        values=tuple(to_log_odds(values).tolist()),
    )


def pool_adjacent_violators(means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit an increasing step function by weighted least squares.

    Ayer and others, "An empirical distribution function for sampling with incomplete information",
    1955. Neighbouring steps that do not increase are pooled until all increase.

    Args:
        means, weights: (n,), the weights positive.

    Returns:
        int (n_steps,), the first index of each step; its value is the weighted mean of the step.

    >>> pool_adjacent_violators(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4))
    array([0, 1, 3])
    """
    steps: list[tuple[float, float, int]] = []
    for index, (mean, weight) in enumerate(zip(means.tolist(), weights.tolist(), strict=True)):
        start, step_mean, step_weight = index, mean, weight
        while steps and steps[-1][0] >= step_mean - SUM_TOLERANCE:
            previous_mean, previous_weight, start = steps.pop()
            total = previous_weight + step_weight
            step_mean = (previous_mean * previous_weight + step_mean * step_weight) / total
            step_weight = total
        steps.append((step_mean, step_weight, start))
    return np.array([start for _, _, start in steps])


def _merge_steps(
    index: int, knots: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the step at an index and the next one into one with their weighted means."""
    pair = slice(index, index + 2)

    def replace_pair(column: np.ndarray, number: float) -> np.ndarray:
        return np.concatenate([column[:index], [number], column[index + 2 :]])

    total = weights[pair].sum()
    return (
        replace_pair(knots, (knots[pair] * weights[pair]).sum() / total),
        replace_pair(values, (values[pair] * weights[pair]).sum() / total),
        replace_pair(weights, total),
    )
