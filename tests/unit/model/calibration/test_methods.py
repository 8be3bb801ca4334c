from __future__ import annotations

import msgspec
import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from model.calibration import METHODS, Calibration, Method
from model.calibration.methods import MAX_SLOPE_RATIO, fit_calibration, pool_adjacent_violators
from model.inference import DenseNetwork
from model.logit import to_log_odds, to_probabilities

GRID = np.linspace(-12, 12, 4_801)


def sample(
    n: int = 303, repeats: int = 3, size: float = 1.0, seed: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes, and log-odds scaled by a factor that vary between repeats."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(scale=2, size=n)
    labels = (draw.uniform(size=n) < to_probabilities(truth)).astype(int)
    return labels, truth * size + draw.normal(scale=0.2, size=(repeats, n))


def test_pooling_equals_scikit_learns_isotonic_regression() -> None:
    draw = np.random.default_rng(0)
    for n in (1, 2, 50, 400):
        means, weights = draw.uniform(size=n).round(1), draw.uniform(0.5, 3, size=n)
        starts = pool_adjacent_violators(means, weights)
        sums, total = np.add.reduceat(means * weights, starts), np.add.reduceat(weights, starts)
        pooled = np.repeat(sums / total, np.diff(starts, append=n))
        expected = IsotonicRegression().fit_transform(np.arange(n), means, sample_weight=weights)
        np.testing.assert_allclose(pooled, expected, rtol=1e-12)
        assert (np.diff(sums / total) > 0).all()


def test_the_isotonic_map_goes_through_scikit_learns_steps() -> None:
    labels, log_odds = sample()
    log_odds = log_odds.round(1)  # so that there are ties
    calibration = fit_calibration("isotonic", labels, log_odds, max_slope_ratio=np.inf)
    n_positive = labels.sum()
    targets = np.where(labels == 1, (n_positive + 1) / (n_positive + 2), 1 / (305 - n_positive))
    x = log_odds.reshape(-1)
    steps = IsotonicRegression().fit_transform(x, np.tile(targets, 3))
    step_values = np.unique(steps.round(12))
    np.testing.assert_allclose(
        to_probabilities(np.array(calibration.values)), step_values, rtol=1e-9
    )
    centres = [x[np.isclose(steps, value)].mean() for value in step_values]
    np.testing.assert_allclose(calibration.knots, centres, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_ranks(method: Method) -> None:
    labels, log_odds = sample(size=1.5)
    calibration = fit_calibration(method, labels, log_odds)
    assert calibration.method == method
    assert (np.diff(calibration.apply(GRID)) > 0).all()
    assert calibration.apply(log_odds).shape == log_odds.shape


@pytest.mark.parametrize("size", [0.05, 1.0, 20.0])
def test_the_slope_of_the_isotonic_map_is_bounded(size: float) -> None:
    """The bound holds for every scale of the log-odds."""
    labels, log_odds = sample(size=1, repeats=1)
    calibration = fit_calibration("isotonic", labels, log_odds * size)
    line = fit_calibration("platt", labels, log_odds * size)
    assert len(calibration.knots) > 3
    slopes = np.diff(calibration.apply(GRID * size)) / np.diff(GRID * size)
    assert slopes.max() <= MAX_SLOPE_RATIO * line.slope * (1 + 1e-6)
    assert calibration.slope == line.slope


def test_isotonic_values_stay_away_from_0_and_1() -> None:
    labels = np.repeat([0, 1], [30, 10])
    calibration = fit_calibration("isotonic", labels, np.linspace(-20, 20, 40)[None])
    np.testing.assert_allclose(to_probabilities(np.array(calibration.values)), [1 / 32, 11 / 12])


@pytest.mark.parametrize("method", METHODS)
def test_layers_compute_the_map(method: Method) -> None:
    calibration = fit_calibration(method, *sample(size=1.3))
    layers = calibration.layers()
    if method != "isotonic":
        assert layers == []
        return
    expected = calibration.apply(GRID)
    network = DenseNetwork(layers, 1, np.float64)
    np.testing.assert_allclose(
        network.log_odds(network.first_layer_sums(GRID[:, None])), expected, atol=1e-12
    )


def test_layers_in_single_precision_are_exact_within_2e_7() -> None:
    log_odds = GRID.astype(np.float32)
    for seed in range(20):
        calibration = fit_calibration("isotonic", *sample(repeats=1, seed=seed))
        network = DenseNetwork(calibration.layers(), 1, np.float32)
        from_layers = network.log_odds(network.first_layer_sums(log_odds[:, None])).astype(
            np.float64
        )
        expected = calibration.apply(log_odds.astype(np.float64))
        np.testing.assert_allclose(
            to_probabilities(from_layers), to_probabilities(expected), atol=2e-7
        )


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0.7), (2.0, -0.3)])
def test_platt_scaling_recovers_a_known_line(slope: float, intercept: float) -> None:
    labels, truth = sample(20_000, 1)
    calibration = fit_calibration("platt", labels, (truth - intercept) / slope)
    assert calibration.slope == pytest.approx(slope, rel=0.05)
    assert calibration.intercept == pytest.approx(intercept, abs=0.06)


def test_temperature_scaling_recovers_a_known_temperature() -> None:
    labels, truth = sample(20_000, 1)
    calibration = fit_calibration("temperature", labels, truth * 3)
    assert 1 / calibration.slope == pytest.approx(3, rel=0.05)
    assert calibration.intercept == 0


def test_every_map_is_finite_if_a_threshold_separates_the_outcomes() -> None:
    labels = np.repeat([0, 1], 20)
    for method in METHODS:
        calibration = fit_calibration(method, labels, (labels * 8.0 - 4)[None])
        assert np.isfinite(calibration.apply(GRID)).all()
        if method != "none":
            p = to_probabilities(calibration.apply(np.array([-4.0, 4.0])))
            np.testing.assert_allclose(p, [1 / 22, 21 / 22], rtol=1e-4)


@pytest.mark.parametrize("method", ["platt", "temperature", "isotonic"])
def test_scores_in_the_wrong_order_give_a_constant_probability(method: Method) -> None:
    """A calibration never reverses the order of the scores."""
    labels, log_odds = sample()
    calibration = fit_calibration(method, labels, -log_odds)
    p = to_probabilities(calibration.apply(GRID))
    np.testing.assert_allclose(p, 0.5 if method == "temperature" else labels.mean(), atol=5e-3)


def test_equal_scores_can_be_calibrated() -> None:
    labels = np.repeat([0, 1], [30, 10])
    for method in ("platt", "isotonic"):
        calibration = fit_calibration(method, labels, np.full((2, 40), 0.7))
        expected = to_log_odds(np.array([(30 / 32 + 10 * 11 / 12) / 40]))
        np.testing.assert_allclose(calibration.apply(np.array([0.7])), expected, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_calibration_survives_json(method: Method) -> None:
    calibration = fit_calibration(method, *sample())
    assert msgspec.json.decode(msgspec.json.encode(calibration), type=Calibration) == calibration


@pytest.mark.parametrize(
    "content",
    [
        b'{"method": "planted:function"}',
        b'{"method": "isotonic"}',
        b'{"method": "platt", "knots": [0], "values": [0]}',
        b'{"method": "isotonic", "knots": [0, 1], "values": [0]}',
        b'{"method": "isotonic", "knots": [1, 0], "values": [0, 1]}',
        b'{"method": "isotonic", "knots": [0, 1], "values": [1, 1]}',
        b'{"method": "platt", "slope": null}',
    ],
)
def test_invalid_calibrations_are_refused(content: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(content, type=Calibration)
