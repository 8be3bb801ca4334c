"""Figures with intervals, from what bootstrap samples of patients gave."""

from __future__ import annotations

import numpy as np

from model.evaluation import LEVEL, Figure


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % over bootstrap samples.

    Args:
        draws: (b, ...), one entry a sample; NaN where a sample has no such figure.

    Returns:
        The lower and the upper end, each (...).
    """
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def figure(draws: np.ndarray, repeats: np.ndarray) -> Figure:
    """A figure that is a mean over the repeats of the folds.

    Args:
        draws: (b,), as of :func:`interval`.
        repeats: (n_repeats,), of all patients.
    """
    low, high = interval(draws)
    spread = float(repeats.std(ddof=1)) if len(repeats) > 1 else 0.0
    return Figure(float(repeats.mean()), float(low), float(high), spread)


def figure_if_any(draws: np.ndarray, repeats: np.ndarray) -> Figure | None:
    """The same of the repeats that have such a figure, which is NaN in the others; None for none."""
    known = repeats[~np.isnan(repeats)]
    return figure(draws, known) if len(known) else None


def mean_of_known(draws: np.ndarray) -> np.ndarray:
    """(b, n_repeats) → (b,): the mean over the repeats that have the figure; NaN for none."""
    known = ~np.isnan(draws)
    with np.errstate(invalid="ignore"):
        return np.where(known, draws, 0).sum(axis=1) / known.sum(axis=1)
