"""Three ways to make log-odds honest: Platt's line, a temperature, and isotonic steps made smooth.

Each is a rising map from the network's log-odds to calibrated ones. It is absorbed by the network,
as a change of the last weights or as a further layer, so that saved weights, graph, gradient and
explanations are those of the calibrated network, and nothing is left to be done while serving.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from model.evaluation import fit_logistic_line
from model.inference import DenseLayer
from model.logit import to_log_odds

Method = Literal["none", "temperature", "platt", "isotonic"]


METHODS: tuple[Method, ...] = ("none", "temperature", "platt", "isotonic")
"""From the simplest to the most flexible."""


RequestedMethod = Literal["auto"] | Method


MAX_SLOPE_RATIO = 3.0
"""Steps of the isotonic map are joined until none rises so many times as fast as Platt's line. A
steeper one is the chance of a few patients rather than a fact, and multiplies rounding."""


SUM_TOLERANCE = 1e-12
"""Two sums of the same outcomes may differ by as much, which is no rise."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A map from log-odds to calibrated log-odds; ``calibration.json`` of an artifact.

    Attributes:
        slope, intercept: of the line. Of ``isotonic`` the slope is that beyond the outer knots.
        knots: rising log-odds of the network, for ``isotonic``.
        values: rising calibrated log-odds at the knots; linear between them.
    """

    method: Method = "none"
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = np.array([self.slope, self.intercept, *self.knots, *self.values])
        rising = (np.diff(self.knots) > 0).all() and (np.diff(self.values) > 0).all()
        if not (np.isfinite(numbers).all() and rising and len(self.knots) == len(self.values)):
            raise ValueError("a calibration needs finite numbers, and a value for each rising knot")
        if (self.method == "isotonic") != bool(self.knots):
            raise ValueError("isotonic calibration needs knots, and no other has them")

    def apply(self, log_odds: np.ndarray) -> np.ndarray:
        """Calibrated log-odds, float64 of the shape that was given."""
        x = np.asarray(log_odds, np.float64)
        if not self.knots:
            return self.intercept + self.slope * x
        beyond = x - np.clip(x, self.knots[0], self.knots[-1])
        return np.interp(x, self.knots, self.values) + self.slope * beyond

    def layers(self) -> list[DenseLayer]:
        """What is put behind a network whose last unit is linear; empty where a line is enough.

        A piecewise linear map is a sum of ReLUs: Dense(relu) → Dense(1, sigmoid), (n, 1) → (n, 1).
        The sum starts at the knot nearest to even odds and adds a bend for every knot on the way out
        from there, so that terms are large, and rounded, only where the probability hardly moves.
        """
        if not self.knots:
            return []
        knots, values = np.array(self.knots), np.array(self.values)
        slopes = np.array([self.slope, *np.diff(values) / np.diff(knots), self.slope])
        middle = int(np.abs(values).argmin())
        up, down = slopes[middle + 1 :], slopes[middle::-1]
        bends = [*np.diff(up, prepend=0.0), *-np.diff(down, prepend=0.0)]
        signs = [1.0] * len(up) + [-1.0] * len(down)
        starts = np.array([*knots[middle:], *knots[middle::-1]])
        return [
            DenseLayer(
                kernel=[signs], bias=(-np.array(signs) * starts).tolist(), activation="relu"
            ),
            DenseLayer(
                kernel=[[float(bend)] for bend in bends],
                bias=[float(values[middle])],
                activation="sigmoid",
            ),
        ]


def fit_calibration(
    method: Method, labels: np.ndarray, log_odds: np.ndarray, *, steepest: float = MAX_SLOPE_RATIO
) -> Calibration:
    """Fit one of the maps to log-odds of patients that the network did not see.

    All three take Platt's targets instead of 0 and 1: with m positive and k negative patients
    (m + 1) / (m + 2) and 1 / (k + 2), Platt, "Probabilistic outputs for support vector machines",
    1999. That is what a uniform prior makes of either group. It keeps the line finite where a
    threshold separates the outcomes, and the isotonic map away from probabilities of 0 and 1.

    Args:
        labels: (n,) of 0 and 1, both among them.
        log_odds: (n_repeats, n); every repeat counts the same.
        steepest: of an isotonic map, as a multiple of the slope of Platt's line.
    """
    n_positive = float(labels.sum())
    targets = np.where(
        labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (len(labels) - n_positive + 2)
    )
    x, y = log_odds.reshape(-1), np.tile(targets, len(log_odds))
    if method == "none":
        return Calibration()
    if method == "isotonic":
        return _fit_isotonic(x, y, steepest)
    slope, intercept = _fit_rising_line(x, y, through_zero=method == "temperature")
    return Calibration(method=method, slope=slope, intercept=intercept)


def _fit_rising_line(x: np.ndarray, y: np.ndarray, *, through_zero: bool) -> tuple[float, float]:
    """Platt's line, or only its slope (Guo and others, "On calibration of modern neural networks",
    ICML 2017: the temperature is 1 / slope); a line that would fall is laid flat.
    """
    ones = np.ones((1, len(x)))
    slopes, intercepts = fit_logistic_line(x, y, ones, intercept=0.0 if through_zero else None)
    if slopes[0] > 0:
        return float(slopes[0]), float(intercepts[0])
    return 0.0, 0.0 if through_zero else float(to_log_odds(y.mean()))


def _fit_isotonic(x: np.ndarray, y: np.ndarray, steepest: float) -> Calibration:
    """The rising step function of least squares, with its steps turned into slopes.

    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
    estimates", KDD 2002. Every step becomes one knot, at the mean of its log-odds; between knots the
    map is linear, so that two patients whose log-odds differ still differ, and so do their ranks.
    Beyond the outer knots it rises as Platt's line does.
    """
    line, _ = _fit_rising_line(x, y, through_zero=False)
    distinct, place = np.unique(x, return_inverse=True)
    weights = np.bincount(place).astype(np.float64)
    means = np.bincount(place, y) / weights
    starts = pool_adjacent_violators(means, weights)
    knots, values, weights = (
        np.add.reduceat(distinct * weights, starts) / np.add.reduceat(weights, starts),
        np.add.reduceat(means * weights, starts) / np.add.reduceat(weights, starts),
        np.add.reduceat(weights, starts),
    )
    slopes = np.diff(to_log_odds(values)) / np.diff(knots)
    while len(slopes) and slopes.max() > steepest * line:
        knots, values, weights = _merge_steps(int(slopes.argmax()), knots, values, weights)
        slopes = np.diff(to_log_odds(values)) / np.diff(knots)
    return Calibration(
        method="isotonic",
        slope=line,
        knots=tuple(knots.tolist()),
        values=tuple(to_log_odds(values).tolist()),
    )


def pool_adjacent_violators(means: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Where the steps of the rising function start that is nearest by weighted least squares.

    Ayer and others, "An empirical distribution function for sampling with incomplete information",
    1955. Neighbours that do not rise are pooled until all do.

    Args:
        means, weights: (n,), the weights positive.

    Returns:
        int (n_steps,), the first index of each step; a step is worth its weighted mean.

    >>> pool_adjacent_violators(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4))
    array([0, 1, 3])
    """
    steps: list[tuple[float, float, int]] = []
    for index, given in enumerate(zip(means.tolist(), weights.tolist(), strict=True)):
        (mean, weight), start = given, index
        while steps and steps[-1][0] >= mean - SUM_TOLERANCE:
            before, heavy, start = steps.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight += heavy
        steps.append((mean, weight, start))
    return np.array([start for _, _, start in steps])


def _merge_steps(place: int, *columns: np.ndarray) -> Sequence[np.ndarray]:
    """The step at a place and the next one as one; the last column holds the weights."""
    *others, weights = columns
    pair = weights[place : place + 2]
    merged = [
        np.concatenate(
            [c[:place], [(c[place : place + 2] * pair).sum() / pair.sum()], c[place + 2 :]]
        )
        for c in others
    ]
    return [*merged, np.concatenate([weights[:place], [pair.sum()], weights[place + 2 :]])]


METHOD_NAMES: dict[Method, str] = {
    "none": "none",
    "temperature": "a temperature",
    "platt": "Platt's line",
    "isotonic": "isotonic steps",
}
