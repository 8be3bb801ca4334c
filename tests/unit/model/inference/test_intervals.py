from __future__ import annotations

import numpy as np
import pytest

from model.inference import interval_bounds
from model.logit import to_log_odds


def test_bounds_are_percentiles_stretched_around_the_median() -> None:
    log_odds = np.random.default_rng(0).normal(size=(50, 101))
    bounds = interval_bounds(log_odds, 0.9, 1.3, np.zeros((50, 1)))
    median, *percentiles = np.quantile(log_odds, [0.5, 0.05, 0.95], axis=1)
    expected = [median, *(median + 1.3 * (percentile - median) for percentile in percentiles)]
    for probabilities, z in zip(bounds, expected, strict=True):
        np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-z)), atol=1e-12)


def test_bounds_widen_with_the_variance_from_missing_values() -> None:
    log_odds = np.random.default_rng(0).normal(size=(1, 100)) + 1
    widths = []
    for variance in (0.0, 0.1, 1.0, 4.0):
        _, low, high = interval_bounds(log_odds, 0.9, 1.3, np.array([[variance]]))
        widths.append(float((to_log_odds(high) - to_log_odds(low))[0]))
    assert widths == sorted(widths) and widths[3] > 1.2 * widths[0]


@pytest.mark.parametrize(
    ("level", "quantile"), [(0.5, 0.6744897501960817), (0.9, 1.6448536269514722)]
)
def test_variances_widen_bounds_by_the_normal_quantile_of_the_level(
    level: float, quantile: float
) -> None:
    """If all members agree, the bounds are those of a normal distribution of the log-odds."""
    variances = np.array([[0.25], [1.0], [4.0]])
    shrinkage = 1 / np.sqrt(1 + np.pi / 8 * variances[:, 0])
    median, low, high = map(
        to_log_odds, interval_bounds(np.full((3, 20), 0.8), level, 1.25, variances)
    )
    expected = quantile * np.sqrt(variances[:, 0]) * shrinkage
    np.testing.assert_allclose(median, 0.8 * shrinkage, atol=1e-12)
    np.testing.assert_allclose(median - low, expected, atol=1e-12)
    np.testing.assert_allclose(high - median, expected, atol=1e-12)
