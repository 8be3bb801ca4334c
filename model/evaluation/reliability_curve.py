"""Reliability curve: share of positive outcomes as a function of the predicted probability.

The curve is a local linear regression of the outcome on the probability. Tenths of 303 patients
hold only thirty each, and depend on which side of an edge a patient falls. The method is that of
Austin and Steyerberg, "Graphical assessment of internal and external calibration of logistic
regression models by using loess smoothers", 2014, without its robustness steps, which would treat
rare outcomes as outliers.
"""

from __future__ import annotations

import math
from functools import partial

import msgspec
import numpy as np

from model.evaluation.bootstrap import (
    CURVE_DIGITS,
    N_BOOTSTRAP,
    NORMAL_QUANTILE,
    bootstrap_statistic,
    percentile_interval,
    round_curve,
)

SPAN = 0.5
"""Share of the patients, the nearest ones, that each point of the curve is fitted to. The customary
.75 has the same total error, but more of it is bias, which the band does not show."""
GRID_STEP = 0.01
N_RELIABILITY_BINS = 10
RELATIVE_TOLERANCE = 1e-9


class ReliabilityBin(msgspec.Struct, frozen=True):
    """A bin of patients with neighbouring probabilities.

    Attributes:
        n: number of patients.
        n_positive: number of patients with a positive outcome.
        probability: mean predicted probability.
        share: of positive outcomes.
        low, high: 95 % interval of the share (Wilson, 1927).
    """

    n: int
    n_positive: int
    probability: float
    share: float
    low: float
    high: float


class ReliabilityCurve(msgspec.Struct, frozen=True):
    """Share of positive outcomes by predicted probability.

    Attributes:
        span: of the smoother.
        probabilities: a grid from the lowest to the highest predicted probability.
        shares: smoothed share of positive outcomes at each grid point.
        low, high: pointwise 95 % band from bootstrap samples of patients. It covers a single point
            with 95 %, and the whole curve with less.
        bins: tenths of the patients by predicted probability.
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
    """Compute the reliability curve of out-of-fold probabilities, averaged over the repeats.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        probabilities: (n_repeats, n).
        seed: of the bootstrap; equal seeds draw the same patients for every estimate.
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
        probabilities=round_curve(grid),
        shares=round_curve(shares),
        low=round_curve(low),
        high=round_curve(high),
        bins=_bins(labels, p),
    )


def _tricube(p: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return the weight of each patient at each grid point; 0 beyond the nearest half.

    **Shape**: (n,), (n_points,) → (n, n_points).
    """
    distances = np.abs(p[:, None] - grid)
    n_near = math.ceil(SPAN * len(p))
    bandwidth = np.partition(distances, n_near - 1, axis=0)[n_near - 1]
    # Slightly wider, so that the farthest of the nearest patients has a weight above 0, and never
    # 0, so that patients at distance 0 have a weight too.
    bandwidth = np.maximum(bandwidth * (1 + RELATIVE_TOLERANCE), RELATIVE_TOLERANCE)
    return np.clip(1 - (distances / bandwidth) ** 3, 0, None) ** 3


def _smooth(
    labels: np.ndarray, p: np.ndarray, grid: np.ndarray, kernel: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Fit the local linear regression for every weighting, clipped to 0 and 1: (b, n_points).

    The fit needs five weighted sums over patients, each one matrix product.
    """
    offsets = kernel * (p[:, None] - grid)
    n, x, xx = weights @ kernel, weights @ offsets, weights @ (offsets * (p[:, None] - grid))
    positive = weights * labels
    y, xy = positive @ kernel, positive @ offsets
    with np.errstate(divide="ignore", invalid="ignore"):
        line = (xx * y - x * xy) / (n * xx - x * x)
        mean = y / n  # replaces the line if all near patients of a sample have one probability
    has_line = n * xx - x * x > RELATIVE_TOLERANCE * n * n
    return np.clip(np.where(has_line, line, mean), 0, 1)


def _bins(labels: np.ndarray, p: np.ndarray) -> list[ReliabilityBin]:
    """Divide patients into tenths by predicted probability; ties stay together."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, N_RELIABILITY_BINS + 1)))
    indices = np.clip(np.searchsorted(edges, p, side="right") - 1, 0, max(len(edges) - 2, 0))
    bins = []
    for index in np.unique(indices):
        in_bin = indices == index
        n, n_positive = int(in_bin.sum()), int(labels[in_bin].sum())
        low, high = _wilson_interval(n_positive, n)
        bins.append(
            ReliabilityBin(
                n=n,
                n_positive=n_positive,
                probability=round(float(p[in_bin].mean()), CURVE_DIGITS),
                share=round(n_positive / n, CURVE_DIGITS),
                low=round(low, CURVE_DIGITS),
                high=round(high, CURVE_DIGITS),
            )
        )
    return bins


def _wilson_interval(n_positive: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share.

    >>> low, high = _wilson_interval(5, 10)
    >>> round(low, 4), round(high, 4)
    (0.2366, 0.7634)
    """
    share, z = n_positive / n, NORMAL_QUANTILE
    scale = 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half_width = z / scale * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(centre - half_width, 0.0), min(centre + half_width, 1.0)
