from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.inference import (
    ACTIVATIONS,
    DenseLayer,
    DenseNetwork,
    MemberLayer,
    StackedDenseNetwork,
)


def random_layers(
    hidden: tuple[int, ...], activation: Any, *, n_features: int = 5, seed: int = 3
) -> list[DenseLayer]:
    draw = np.random.default_rng(seed)
    layers, n_inputs = [], n_features
    for units in hidden:
        kernel, bias = draw.normal(size=(n_inputs, units)), draw.normal(size=units)
        layers.append(DenseLayer(kernel=kernel.tolist(), bias=bias.tolist(), activation=activation))
        n_inputs = units
    kernel = draw.normal(size=(n_inputs, 1))
    layers.append(DenseLayer(kernel=kernel.tolist(), bias=[0.3], activation="sigmoid"))
    return layers


def stack(networks: list[list[DenseLayer]]) -> list[MemberLayer]:
    """Return the layers of networks with the same shape as layers of one stacked network."""
    stacked: list[MemberLayer] = []
    for layers in zip(*networks, strict=True):
        kernel = np.array([layer.kernel for layer in layers], "<f4")
        bias = np.array([layer.bias for layer in layers], "<f4")
        shape = (kernel.shape[0], kernel.shape[1], kernel.shape[2])
        is_last = len(stacked) == len(networks[0]) - 1
        stacked.append(
            MemberLayer(
                shape=shape,
                kernel=kernel.tobytes(),
                bias=bias.tobytes(),
                activation="linear" if is_last else layers[0].activation,
            )
        )
    return stacked


def log_odds(network: DenseNetwork, features: np.ndarray) -> np.ndarray:
    return network.log_odds(network.first_layer_sums(features))


@pytest.mark.parametrize("hidden", [(), (7,), (6, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_those_of_finite_differences(
    hidden: tuple[int, ...], activation: str
) -> None:
    network = DenseNetwork(random_layers(hidden, activation), 5, np.float64)
    features = np.random.default_rng(4).normal(size=(20, 5))
    values, gradients = network.log_odds_and_gradients(features)
    np.testing.assert_array_equal(values, log_odds(network, features))
    step = 1e-6
    for feature in range(5):
        shift = np.eye(5)[feature] * step
        above, below = log_odds(network, features + shift), log_odds(network, features - shift)
        np.testing.assert_allclose(gradients[:, feature], (above - below) / (2 * step), atol=1e-7)
    assert np.abs(gradients).max() > 0.1


def test_the_slope_of_a_relu_is_zero_at_and_below_zero() -> None:
    kernel, last = [[1.0, 0.0], [0.0, 1.0]], [[2.0], [3.0]]
    layers = [
        DenseLayer(kernel=kernel, bias=[0.0, 0.0], activation="relu"),
        DenseLayer(kernel=last, bias=[0.0], activation="sigmoid"),
    ]
    network = DenseNetwork(layers, 2, np.float64)
    _, gradients = network.log_odds_and_gradients(np.array([[1.0, -1.0], [0.0, 5.0]]))
    np.testing.assert_array_equal(gradients, [[2, 0], [0, 3]])


@pytest.mark.parametrize("hidden", [(), (7,), (6, 4)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_stacked_networks_are_the_single_networks(hidden: tuple[int, ...], activation: str) -> None:
    networks = [random_layers(hidden, activation, seed=seed) for seed in range(4)]
    stacked = StackedDenseNetwork(stack(networks), 5)
    features = np.random.default_rng(5).normal(size=(20, 5))
    values, saved = stacked.log_odds(features)
    gradients = stacked.gradients(len(features), saved)
    assert values.shape == (20, 4) and gradients.shape == (4, 20, 5)
    for member, layers in enumerate(networks):
        expected, slopes = DenseNetwork(layers, 5, np.float64).log_odds_and_gradients(features)
        np.testing.assert_allclose(values[:, member], expected, atol=1e-4)
        np.testing.assert_allclose(gradients[member], slopes, atol=1e-4)


@pytest.mark.parametrize(
    ("n_features", "layers", "reason"),
    [
        (5, [], "must end in one linear unit"),
        (4, stack([random_layers((7,), "relu")]), "does not fit the one before it"),
        (5, stack([random_layers((7,), "relu")])[:1], "must end in one linear unit"),
    ],
)
def test_stacked_layers_that_do_not_fit_are_refused(
    n_features: int, layers: list[MemberLayer], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        StackedDenseNetwork(layers, n_features)
