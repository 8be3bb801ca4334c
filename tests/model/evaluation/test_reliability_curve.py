from __future__ import annotations

import numpy as np

from tests.unit.model.evaluation.test_reliability_curve import curve, nearest_index, sample


def test_the_band_covers_the_truth_near_its_nominal_level() -> None:
    covered = []
    for seed in range(60):
        reliability = curve(*sample(seed=seed))
        for p in (0.2, 0.5, 0.8):
            index = nearest_index(reliability, p)
            covered.append(
                reliability.low[index]
                <= reliability.probabilities[index]
                <= reliability.high[index]
            )
    assert 0.88 <= np.mean(covered) <= 0.99
