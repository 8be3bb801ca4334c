"""The reliability curve: the share of positive outcomes among those with a probability.

Smooth, by local linear regression of the outcome on the probability, because tenths of 303 patients
hold thirty each, and where a patient falls by chance moves their ends. As in Austin and Steyerberg,
"Graphical assessment of internal and external calibration of logistic regression models by using
loess smoothers", 2014, and without robustness steps, which would take rare outcomes for outliers.
"""

from __future__ import annotations

import math
from functools import partial

import msgspec
import numpy as np

from model.evaluation.bootstrap import N_BOOTSTRAP, bootstrap_statistic, percentile_interval

SPAN = 0.5
"""Share of the patients, the nearest ones, that a point of the curve is fitted to. With the customary
three quarters the curve is as far from the truth, and more of that is bias, which no band shows."""
GRID_STEP = 0.01
N_RELIABILITY_BINS = 10
NORMAL_QUANTILE_975 = 1.959964
"""Of the 95 % interval of a share."""
CURVE_DIGITS = 4
RELATIVE_TOLERANCE = 1e-9


class ReliabilityBin(msgspec.Struct, frozen=True):
    """Patients with probabilities next to each other.

    Attributes:
        n, n_positive: how many they are, and how many of them were positive.
        probability: their mean probability.
        share: of the positive ones, with its 95 % interval (Wilson, 1927).
    """

    n: int
    n_positive: int
    probability: float
    share: float
    low: float
    high: float


class ReliabilityCurve(msgspec.Struct, frozen=True):
    """Share of positive outcomes by probability.

    Attributes:
        span: of the smoother.
        probabilities: rising, from the lowest that was given to the highest.
        shares: the smoothed share of positive outcomes at each.
        low, high: the pointwise 95 % band, from a bootstrap of patients. One point is inside it
            with 95 %, the whole curve with less.
        bins: tenths of the patients, of equal number.
    """

    span: float
    probabilities: list[float]
    shares: list[float]
    low: list[float]
    high: list[float]
    bins: list[ReliabilityBin]


def compute_reliability_curve(
    labels: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray,
    *,
    seed: int,
    n_samples: int = N_BOOTSTRAP,
) -> ReliabilityCurve:
    """The curve of out-of-fold probabilities, averaged over the repeats of the folds.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        probabilities: (n_repeats, n).
        seed: of the bootstrap; equal seeds draw the same patients for every figure.
    """
    p = probabilities.mean(axis=0)
    n_points = max(2, math.ceil((p.max() - p.min()) / GRID_STEP) + 1)
    grid = np.linspace(p.min(), p.max(), n_points)
    kernel = _tricube(p, grid)
    shares = _smooth(labels, p, grid, kernel, np.ones((1, len(p))))[0]
    draws = bootstrap_statistic(
        partial(_smooth, labels, p, grid, kernel), groups, seed=seed, n_samples=n_samples
    )
    low, high = percentile_interval(draws)
    return ReliabilityCurve(
        span=SPAN,
        probabilities=_rounded(grid),
        shares=_rounded(shares),
        low=_rounded(low),
        high=_rounded(high),
        bins=_bins(labels, p),
    )


def _tricube(p: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(n, n_points): the weight of each patient at each point; 0 beyond the nearest half."""
    distances = np.abs(p[:, None] - grid)
    n_near = math.ceil(SPAN * len(p))
    reach = np.partition(distances, n_near - 1, axis=0)[n_near - 1]
    # The farthest of the near ones would count nothing, and where all are equally near, everyone.
    return (
        np.clip(
            1 - (distances / np.maximum(reach * (1 + RELATIVE_TOLERANCE), RELATIVE_TOLERANCE)) ** 3,
            0,
            None,
        )
        ** 3
    )


def _smooth(
    labels: np.ndarray, p: np.ndarray, grid: np.ndarray, kernel: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(b, n_points): local linear regression for every weighting, kept between 0 and 1.

    Beside the kernel's weights the fit needs five sums over patients, each one matrix product.
    """
    away = kernel * (p[:, None] - grid)
    n, x, xx = weights @ kernel, weights @ away, weights @ (away * (p[:, None] - grid))
    positive = weights * labels
    y, xy = positive @ kernel, positive @ away
    with np.errstate(divide="ignore", invalid="ignore"):
        line = (xx * y - x * xy) / (n * xx - x * x)
        mean = y / n  # a sample whose near patients all have one probability has no line
    straight = n * xx - x * x > RELATIVE_TOLERANCE * n * n
    return np.clip(np.where(straight, line, mean), 0, 1)


def _bins(labels: np.ndarray, p: np.ndarray) -> list[ReliabilityBin]:
    """Tenths of the patients, in the order of their probabilities; ties stay together."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, N_RELIABILITY_BINS + 1)))
    places = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(len(edges) - 2, 0))
    bins = []
    for place in np.unique(places):
        here = places == place
        n, n_positive = int(here.sum()), int(labels[here].sum())
        share = n_positive / n
        centre = (share + NORMAL_QUANTILE_975**2 / (2 * n)) / (1 + NORMAL_QUANTILE_975**2 / n)
        half = (
            NORMAL_QUANTILE_975
            / (1 + NORMAL_QUANTILE_975**2 / n)
            * math.sqrt(share * (1 - share) / n + NORMAL_QUANTILE_975**2 / (4 * n**2))
        )
        bins.append(
            ReliabilityBin(
                n, n_positive, *(round(float(v), CURVE_DIGITS) for v in (p[here].mean(), share)),
                *(round(min(max(v, 0.0), 1.0), CURVE_DIGITS) for v in (centre - half, centre + half)),
            )
        )  # fmt: skip
    return bins


def _rounded(numbers: np.ndarray) -> list[float]:
    return [round(number, CURVE_DIGITS) for number in numbers.tolist()]
