"""From what the members of an ensemble say of a record to the bounds of its interval."""

from __future__ import annotations

import numpy as np

from model.dense import to_probabilities
from model.incomplete import shrinkage

Z = 1.6448536269514722
"""The normal distribution's .95 quantile, which goes with a level of .9."""


def bounds(
    log_odds: np.ndarray, level: float, spread: float, variances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The middle of what members say, and the bounds around it; each float64 (n,), probabilities.

    Args:
        log_odds: (n, m), of n records by m members.
        spread: what the distances from the median are multiplied by.
        variances: (n, m), that missing values leave each member's log-odds; or (n, 1).
    """
    shrunk = shrinkage(variances)
    drawn = np.sort(log_odds.astype(np.float64) * shrunk, axis=1)
    middle = _quantile(drawn, 0.5)
    unknown = Z * np.sqrt((variances * shrunk**2).mean(axis=1))
    below = np.hypot(spread * (middle - _quantile(drawn, (1 - level) / 2)), unknown)
    above = np.hypot(spread * (_quantile(drawn, (1 + level) / 2) - middle), unknown)
    middles, lows, highs = to_probabilities(np.array([middle, middle - below, middle + above]))
    return middles, lows, highs


def _quantile(ordered: np.ndarray, share: float) -> np.ndarray:
    """Of each sorted row of (n, m), with straight lines between neighbours, as NumPy's own."""
    place = share * (ordered.shape[1] - 1)
    below = int(place)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below] + (place - below) * (ordered[:, above] - ordered[:, below])
