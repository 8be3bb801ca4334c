from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.inference import DenseLayer, DenseNetwork
from model.inference.dense_network import ACTIVATION_FUNCTIONS, ACTIVATION_GRADIENTS


def network(hidden: tuple[int, ...], activation: Any, n_features: int = 5) -> DenseNetwork:
    draw = np.random.default_rng(3)
    layers, n_inputs = [], n_features
    for units in hidden:
        kernel, bias = draw.normal(size=(n_inputs, units)), draw.normal(size=units)
        layers.append(DenseLayer(kernel=kernel.tolist(), bias=bias.tolist(), activation=activation))
        n_inputs = units
    kernel = draw.normal(size=(n_inputs, 1))
    layers.append(DenseLayer(kernel=kernel.tolist(), bias=[0.3], activation="sigmoid"))
    return DenseNetwork(layers, n_features, np.float64)


def log_odds(of: DenseNetwork, features: np.ndarray) -> np.ndarray:
    return of.log_odds(of.first_layer_sums(features))


def test_every_activation_has_a_gradient() -> None:
    assert set(ACTIVATION_GRADIENTS) == set(ACTIVATION_FUNCTIONS)


@pytest.mark.parametrize("hidden", [(), (7,), (6, 4)])
@pytest.mark.parametrize("activation", sorted(ACTIVATION_FUNCTIONS))
def test_gradients_are_those_of_finite_differences(
    hidden: tuple[int, ...], activation: str
) -> None:
    of = network(hidden, activation)
    features = np.random.default_rng(4).normal(size=(20, 5))
    found, gradients = of.log_odds_and_gradients(features)
    np.testing.assert_array_equal(found, log_odds(of, features))
    step = 1e-6
    for feature in range(5):
        moved = np.eye(5)[feature] * step
        slope = (log_odds(of, features + moved) - log_odds(of, features - moved)) / (2 * step)
        np.testing.assert_allclose(gradients[:, feature], slope, atol=1e-7)
    assert np.abs(gradients).max() > 0.1


def test_below_its_kink_a_relu_lets_nothing_through() -> None:
    kernel, last = [[1.0, 0.0], [0.0, 1.0]], [[2.0], [3.0]]
    layers = [
        DenseLayer(kernel=kernel, bias=[0.0, 0.0], activation="relu"),
        DenseLayer(kernel=last, bias=[0.0], activation="sigmoid"),
    ]
    of = DenseNetwork(layers, 2, np.float64)
    _, gradients = of.log_odds_and_gradients(np.array([[1.0, -1.0], [0.0, 5.0]]))
    np.testing.assert_array_equal(gradients, [[2, 0], [0, 3]])
