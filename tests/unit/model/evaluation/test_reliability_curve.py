from __future__ import annotations

import msgspec
import numpy as np
import pytest

from model.evaluation import ReliabilityCurve, compute_reliability_curve
from model.evaluation.reliability_curve import SPAN
from model.logit import to_probabilities


def sample(n: int = 303, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes drawn from probabilities, and the probabilities."""
    draw = np.random.default_rng(seed)
    p = to_probabilities(draw.normal(scale=1.8, size=n))
    return (draw.uniform(size=n) < p).astype(int), p[None]


def curve(labels: np.ndarray, p: np.ndarray, n_samples: int = 100) -> ReliabilityCurve:
    return compute_reliability_curve(labels, np.arange(len(labels)), p, seed=1, n_samples=n_samples)


def nearest_index(reliability: ReliabilityCurve, probability: float) -> int:
    """Return the index of the grid point nearest to a probability."""
    return int(np.abs(np.array(reliability.probabilities) - probability).argmin())


def test_each_point_is_a_weighted_line_through_the_nearest_half() -> None:
    labels, (p,) = sample()
    reliability = curve(labels, p[None])
    for index in (0, 30, len(reliability.shares) - 1):
        point = np.linspace(p.min(), p.max(), len(reliability.shares))[index]
        distances = np.abs(p - point)
        bandwidth = np.sort(distances)[int(np.ceil(SPAN * 303)) - 1]
        weights = np.clip(1 - (distances / bandwidth) ** 3, 0, None) ** 3
        slope, intercept = np.polyfit(p - point, labels, 1, w=np.sqrt(weights))
        assert reliability.shares[index] == pytest.approx(np.clip(intercept, 0, 1), abs=1e-4)
        assert slope > 0


def test_the_curve_goes_from_the_lowest_probability_to_the_highest() -> None:
    labels, p = sample()
    reliability = curve(labels, p)
    assert reliability.probabilities[0] == pytest.approx(p.min(), abs=1e-4)
    assert reliability.probabilities[-1] == pytest.approx(p.max(), abs=1e-4)
    assert np.diff(reliability.probabilities).max() <= 0.0101
    for band in (reliability.shares, reliability.low, reliability.high):
        assert len(band) == len(reliability.probabilities)
        assert min(band) >= 0 and max(band) <= 1
    assert all(
        a <= b <= c
        for a, b, c in zip(reliability.low, reliability.shares, reliability.high, strict=True)
    )


def test_the_curve_shows_a_known_distortion() -> None:
    """The probabilities are too extreme; 20,000 patients make the noise small."""
    draw = np.random.default_rng(0)
    log_odds = draw.normal(scale=1.5, size=20_000)
    labels = (draw.uniform(size=20_000) < to_probabilities(log_odds)).astype(int)
    reliability = curve(labels, to_probabilities(log_odds * 2)[None], n_samples=20)
    for p in (0.1, 0.5, 0.9):
        truth = to_probabilities(np.array(np.log(p / (1 - p)) / 2))
        # The smoothing bias is a few hundredths, the distortion up to .15.
        assert reliability.shares[nearest_index(reliability, p)] == pytest.approx(
            float(truth), abs=0.04
        )


def test_repeats_are_averaged() -> None:
    labels, p = sample()
    spread = np.concatenate([p - p * 0.1, p + p * 0.1])
    assert curve(labels, spread) == curve(labels, p)


def test_copies_of_a_record_are_drawn_together() -> None:
    labels, p = sample(150)
    once = compute_reliability_curve(labels, np.arange(150), p, seed=1)
    groups = np.tile(np.arange(150), 2)
    twice = compute_reliability_curve(np.tile(labels, 2), groups, np.tile(p, 2), seed=1)
    np.testing.assert_allclose(twice.low, once.low, atol=0.02)
    np.testing.assert_allclose(twice.high, once.high, atol=0.02)


def test_bins_are_tenths_of_the_patients_with_wilsons_interval() -> None:
    labels, p = sample(200)
    bins = curve(labels, p).bins
    assert [b.n for b in bins] == [20] * 10
    order = np.argsort(p[0])
    assert [b.n_positive for b in bins] == [
        int(labels[part].sum()) for part in order.reshape(10, 20)
    ]
    assert bins[0].probability == pytest.approx(p[0, order[:20]].mean(), abs=1e-4)
    # Two of ten: .057 to .510, as in Brown, Cai and DasGupta (2001).
    labels, p = np.array([1, 1] + [0] * 8), np.full((1, 10), 0.3)
    (single_bin,) = curve(labels, p).bins
    assert (single_bin.n, single_bin.n_positive, single_bin.share) == (10, 2, 0.2)
    assert (single_bin.low, single_bin.high) == pytest.approx((0.0567, 0.5098), abs=1e-4)


def test_a_single_probability_has_a_single_share() -> None:
    reliability = curve(np.array([1, 0, 0, 0]), np.full((2, 4), 0.3))
    assert reliability.shares == [0.25, 0.25] and reliability.probabilities == [0.3, 0.3]


def test_a_curve_survives_json() -> None:
    reliability = curve(*sample())
    assert (
        msgspec.json.decode(msgspec.json.encode(reliability), type=ReliabilityCurve) == reliability
    )
