"""Bootstrap samples of patients, and estimates with percentile intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import NormalDist

import msgspec
import numpy as np

N_BOOTSTRAP = 2_000
CONFIDENCE_LEVEL = 0.95
NORMAL_QUANTILE = NormalDist().inv_cdf((1 + CONFIDENCE_LEVEL) / 2)
"""Half the width of an interval at this level, in standard errors: 1.96."""
CURVE_DIGITS = 4
"""Decimal places of the numbers of a stored curve."""
BOOTSTRAP_CELLS_PER_BLOCK = 2_000_000
"""Weights that are drawn together, 16 MB, so that memory is bounded."""


class Estimate(msgspec.Struct, frozen=True):
    """An estimate over all patients with its 95 % bootstrap interval.

    Attributes:
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float

    def format(self, sign: str = "", *, digits: int = 4) -> str:
        """Return the estimate and its interval as text.

        Args:
            sign: ``"+"`` also writes the sign of positive numbers.
            digits: decimal places.

        >>> Estimate(0.3891, 0.3234, 0.4598).format()
        '0.3891 (0.3234 to 0.4598)'
        """
        value, low, high = (f"{x:{sign}.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


def bootstrap_weights(
    groups: np.ndarray, *, seed: int, n_samples: int = N_BOOTSTRAP
) -> Iterator[np.ndarray]:
    """Draw bootstrap samples of patients as weights of the rows.

    Args:
        groups: (n,) equal for copies of a record, which are drawn together.
        seed: equal seeds draw the same patients.

    Yields:
        float64 (b, n), how often each row is drawn in b samples; blocks of bounded memory, until b
        adds up to ``n_samples``.
    """
    _, patient = np.unique(groups, return_inverse=True)
    n_patients = int(patient.max()) + 1
    draw = np.random.default_rng(seed)
    shares = np.full(n_patients, 1 / n_patients)
    block_size = max(1, BOOTSTRAP_CELLS_PER_BLOCK // len(groups))
    for start in range(0, n_samples, block_size):
        counts = draw.multinomial(n_patients, shares, size=min(block_size, n_samples - start))
        yield counts[:, patient].astype(np.float64)


def bootstrap_statistic(
    compute: Callable[[np.ndarray], np.ndarray],
    groups: np.ndarray,
    *,
    seed: int,
    n_samples: int = N_BOOTSTRAP,
) -> np.ndarray:
    """Compute a statistic of every bootstrap sample, (n_samples, ...).

    Args:
        compute: (b, n) weights → (b, ...).
        groups: (n,) equal for copies of a record, which are drawn together.
        seed: equal seeds draw the same patients.
    """
    blocks = bootstrap_weights(groups, seed=seed, n_samples=n_samples)
    return np.concatenate([compute(weights) for weights in blocks])


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % percentile interval over bootstrap samples.

    Args:
        draws: (b, ...), the statistic of each sample; NaN for a sample in which it is undefined.

    Returns:
        The lower and the upper end, each (...).
    """
    low, high = np.nanquantile(
        draws, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2], axis=0
    )
    return low, high


def estimate(draws: np.ndarray, value: float) -> Estimate:
    """Return the estimate of a statistic with its interval.

    Args:
        draws: (b,), as for :func:`percentile_interval`.
        value: the statistic of all patients.
    """
    low, high = percentile_interval(draws)
    return Estimate(float(value), float(low), float(high))


def estimate_or_none(draws: np.ndarray, repeats: np.ndarray) -> Estimate | None:
    """Return the estimate over the repeats in which the statistic is defined; None without any.

    Args:
        draws: as for :func:`estimate`.
        repeats: (n_repeats,), the statistic of all patients in each repeat of the folds; NaN where
            it is undefined.
    """
    defined = repeats[~np.isnan(repeats)]
    return estimate(draws, defined.mean()) if len(defined) else None


def nan_mean(draws: np.ndarray) -> np.ndarray:
    """Return the mean over the repeats, ignoring NaN; NaN if all are NaN.

    Unlike ``np.nanmean`` it does not warn about repeats that are all NaN.

    **Shape**: (..., n_repeats) → (...).
    """
    defined = ~np.isnan(draws)
    with np.errstate(invalid="ignore"):
        return np.where(defined, draws, 0).sum(axis=-1) / defined.sum(axis=-1)


def round_curve(numbers: np.ndarray) -> list[float]:
    """Round the numbers of a curve to :data:`CURVE_DIGITS` decimal places."""
    return [round(number, CURVE_DIGITS) for number in numbers.tolist()]
