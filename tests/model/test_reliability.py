from __future__ import annotations

import numpy as np

from tests.unit.model.test_reliability import at, curve, sample


def test_the_band_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = []
    for seed in range(60):
        found = curve(*sample(seed=seed))
        for p in (0.2, 0.5, 0.8):
            place = at(found, p)
            covered.append(found.low[place] <= found.probabilities[place] <= found.high[place])
    assert 0.88 <= np.mean(covered) <= 0.99
