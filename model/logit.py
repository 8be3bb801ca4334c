"""The logistic function and its inverse."""

from __future__ import annotations

import numpy as np

SMALLEST_PROBABILITY = 1e-7
"""Distance from 0 and 1 that is kept before a logarithm is taken, as Keras does."""


def to_log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, which are kept as far from 0 and 1 as the log loss keeps them."""
    p = np.clip(
        np.asarray(probabilities, np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY
    )
    return np.log(p) - np.log1p(-p)


def to_probabilities(log_odds: np.ndarray) -> np.ndarray:
    """The logistic function; by way of tanh, which has no argument that overflows."""
    return 0.5 * np.tanh(0.5 * log_odds) + 0.5
