"""The logistic function and its inverse."""

from __future__ import annotations

import numpy as np

SMALLEST_PROBABILITY = 1e-7
"""Probabilities are clipped to this distance from 0 and 1 before a logarithm, as in Keras."""


def to_log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return the log-odds of probabilities, clipped by :data:`SMALLEST_PROBABILITY`."""
    p = np.clip(
        np.asarray(probabilities, np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY
    )
    return np.log(p) - np.log1p(-p)


def to_probabilities(log_odds: np.ndarray) -> np.ndarray:
    """Return the logistic function, computed with tanh, which never overflows."""
    return 0.5 * np.tanh(0.5 * log_odds) + 0.5
