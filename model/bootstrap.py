"""Figures with intervals, from what bootstrap samples of patients gave."""

from __future__ import annotations

import numpy as np

from model.evaluation import LEVEL, Figure


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % over bootstrap samples.

    Args:
        draws: (b, ...), one entry a sample; NaN where a sample has no such figure.

    Returns:
        The lower and the upper end, each (...); NaN where no sample has the figure.
    """
    nothing = np.isnan(draws).all(axis=0)
    # A column of NaN alone would be warned of, and is asked for by nobody.
    low, high = np.nanquantile(
        np.where(nothing, 0.0, draws), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0
    )
    return np.where(nothing, np.nan, low), np.where(nothing, np.nan, high)


def figure(draws: np.ndarray, repeats: np.ndarray) -> Figure:
    """A figure whose value is the mean over the repeats.

    Args:
        draws: (b,), as of :func:`interval`.
        repeats: (n_repeats,), the figure of each repeat of the folds, over all patients.
    """
    low, high = interval(draws)
    spread = float(repeats.std(ddof=1)) if len(repeats) > 1 else 0.0
    return Figure(float(repeats.mean()), float(low), float(high), spread)
