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

from model.evaluation.bootstrap import N_BOOTSTRAP, bootstrapped, interval

SPAN = 0.5
"""Share of the patients, the nearest ones, that a point of the curve is fitted to. With the customary
three quarters the curve is as far from the truth, and more of that is bias, which no band shows."""
STEP = 0.01
N_BINS = 10
Z = 1.959964
"""Of the 95 % interval of a share."""
DIGITS = 4
FLAT = 1e-9


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


def reliability_curve(
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
    n_points = max(2, math.ceil((p.max() - p.min()) / STEP) + 1)
    grid = np.linspace(p.min(), p.max(), n_points)
    kernel = _tricube(p, grid)
    shares = _smooth(labels, p, grid, kernel, np.ones((1, len(p))))[0]
    draws = bootstrapped(
        partial(_smooth, labels, p, grid, kernel), groups, seed=seed, n_samples=n_samples
    )
    low, high = interval(draws)
    return ReliabilityCurve(
        span=SPAN,
        probabilities=_listed(grid),
        shares=_listed(shares),
        low=_listed(low),
        high=_listed(high),
        bins=_bins(labels, p),
    )


def _tricube(p: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(n, n_points): the weight of each patient at each point; 0 beyond the nearest half."""
    distances = np.abs(p[:, None] - grid)
    n_near = math.ceil(SPAN * len(p))
    reach = np.partition(distances, n_near - 1, axis=0)[n_near - 1]
    # The farthest of the near ones would count nothing, and where all are equally near, everyone.
    return np.clip(1 - (distances / np.maximum(reach * (1 + FLAT), FLAT)) ** 3, 0, None) ** 3


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
    straight = n * xx - x * x > FLAT * n * n
    return np.clip(np.where(straight, line, mean), 0, 1)


def _bins(labels: np.ndarray, p: np.ndarray) -> list[ReliabilityBin]:
    """Tenths of the patients, in the order of their probabilities; ties stay together."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, N_BINS + 1)))
    places = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(len(edges) - 2, 0))
    bins = []
    for place in np.unique(places):
        here = places == place
        n, n_positive = int(here.sum()), int(labels[here].sum())
        share = n_positive / n
        centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        bins.append(
            ReliabilityBin(
                n, n_positive, *(round(float(v), DIGITS) for v in (p[here].mean(), share)),
                *(round(min(max(v, 0.0), 1.0), DIGITS) for v in (centre - half, centre + half)),
            )
        )  # fmt: skip
    return bins


def _listed(numbers: np.ndarray) -> list[float]:
    return [round(number, DIGITS) for number in numbers.tolist()]
