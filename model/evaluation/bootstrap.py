"""Bootstrap samples of patients, and figures with the intervals that they give."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

N_BOOTSTRAP = 2_000
CONFIDENCE_LEVEL = 0.95
BOOTSTRAP_CELLS_PER_BLOCK = 2_000_000


class Estimate(msgspec.Struct, frozen=True):
    """A figure over all patients, its 95 % bootstrap interval, and its spread over the repeats."""

    value: float
    low: float
    high: float
    sd_repeats: float = 0.0

    def format(self, sign: str = "", *, digits: int = 4) -> str:
        """The figure and its interval: ``0.3891 (0.3234 to 0.4598)``; with ``"+"``, both signs."""
        value, low, high = (f"{x:{sign}.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} ({low} to {high})"


def bootstrap_weights(
    groups: np.ndarray, *, seed: int, n_samples: int = N_BOOTSTRAP
) -> Iterator[np.ndarray]:
    """How often each row is drawn in bootstrap samples of patients.

    Yields:
        float64 (b, n), until b adds up to ``n_samples``, in parts of bounded memory; copies of a
        record are drawn together.
    """
    _, patient = np.unique(groups, return_inverse=True)
    n_patients = int(patient.max()) + 1
    draw = np.random.default_rng(seed)
    shares = np.full(n_patients, 1 / n_patients)
    part = max(1, BOOTSTRAP_CELLS_PER_BLOCK // len(groups))
    for start in range(0, n_samples, part):
        counts = draw.multinomial(n_patients, shares, size=min(part, n_samples - start))
        yield counts[:, patient].astype(np.float64)


def bootstrap_statistic(
    compute: Callable[[np.ndarray], np.ndarray],
    groups: np.ndarray,
    *,
    seed: int,
    n_samples: int = N_BOOTSTRAP,
) -> np.ndarray:
    """What comes out for every bootstrap sample: (n_samples, ...).

    Args:
        compute: (b, n) weights → (b, ...).
        groups: (n,) equal for copies of a record, which are drawn together.
        seed: equal seeds draw the same patients.
    """
    parts = bootstrap_weights(groups, seed=seed, n_samples=n_samples)
    return np.concatenate([compute(weights) for weights in parts])


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % over bootstrap samples.

    Args:
        draws: (b, ...), one entry a sample; NaN where a sample has no such figure.

    Returns:
        The lower and the upper end, each (...).
    """
    low, high = np.nanquantile(
        draws, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2], axis=0
    )
    return low, high


def estimate(draws: np.ndarray, repeats: np.ndarray, *, value: float | None = None) -> Estimate:
    """A figure over the repeats of the folds.

    Args:
        draws: (b,), as of :func:`percentile_interval`.
        repeats: (n_repeats,), of all patients.
        value: of all patients; the mean of the repeats if None.
    """
    low, high = percentile_interval(draws)
    spread = float(repeats.std(ddof=1)) if len(repeats) > 1 else 0.0
    mean = repeats.mean() if value is None else value
    return Estimate(float(mean), float(low), float(high), spread)


def estimate_or_none(draws: np.ndarray, repeats: np.ndarray) -> Estimate | None:
    """The same of the repeats that have such a figure, which is NaN in the others; None for none."""
    known = repeats[~np.isnan(repeats)]
    return estimate(draws, known) if len(known) else None


def nan_mean(draws: np.ndarray) -> np.ndarray:
    """(..., n_repeats) → (...): the mean over the repeats that have the figure; NaN for none."""
    known = ~np.isnan(draws)
    with np.errstate(invalid="ignore"):
        return np.where(known, draws, 0).sum(axis=-1) / known.sum(axis=-1)
