"""The network: the only file that names Keras layers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from model.config import TrainingConfig
from model.dense import DenseLayer


def build_network(config: TrainingConfig, n_features: int) -> keras.Model:
    """A compiled functional network: features → hidden layers → one sigmoid unit.

    With 29 features and the default 16 ReLU units it has 29*16 + 16 + 16 + 1 = 497 parameters.
    Equal configs give equal first weights, whatever was drawn before.

    **Shape**: float32 (n, n_features) → float32 (n, 1), the probability of the positive outcome.

    Keras 3 API only, so that the same network trains on TensorFlow, JAX and PyTorch.
    """
    features = keras.Input((n_features,), name="features")
    seeds = itertools.count(config.seed * (len(config.hidden) + 1))
    scales = itertools.chain(
        [0.01 if config.initial_weights == "small" else 1.0], itertools.repeat(1.0)
    )

    def dense(units: int, activation: str, name: str) -> keras.layers.Layer:
        # Glorot's uniform distribution is VarianceScaling with a scale of 1; the spread goes with
        # the root of the scale, so 0.01 starts ten times smaller.
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=keras.initializers.VarianceScaling(
                next(scales), mode="fan_avg", distribution="uniform", seed=next(seeds)
            ),
            kernel_regularizer=keras.regularizers.L2(config.l2) if config.l2 else None,
            name=name,
        )

    x = features
    for number, units in enumerate(config.hidden, start=1):
        x = dense(units, config.activation, f"hidden_{number}")(x)
    probability = dense(1, "sigmoid", "probability")(x)
    network = keras.Model(features, probability, name="network")
    network.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy")],
        # On TensorFlow compiling takes longer than 30 epochs of a network this small; JAX without
        # it would run step by step.
        jit_compile=False if keras.config.backend() == "tensorflow" else "auto",
    )
    return network


def scale_output(network: keras.Model, slope: float, intercept: float) -> None:
    """Make intercept + slope * x of the log-odds x, by the weights of the last unit, in place."""
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * slope, bias * slope + intercept])


def append_layers(network: keras.Model, layers: Sequence[DenseLayer]) -> keras.Model:
    """The network with its log-odds led through further layers; itself where there are none.

    Its last unit becomes linear, and keeps its weights. What comes back is not compiled.

    Args:
        layers: (n, 1) → (n, 1), the last one with the activation that makes a probability.
    """
    if not layers:
        return network
    last = network.layers[-1]
    weights = [last.get_weights(), *([np.array(a.kernel), np.array(a.bias)] for a in layers)]
    x = last.input
    added = [keras.layers.Dense(1, name="log_odds")]
    for number, layer in enumerate(layers, start=1):
        name = "probability" if number == len(layers) else f"calibration_{number}"
        added.append(keras.layers.Dense(len(layer.bias), layer.activation, name=name))
    for layer in added:
        x = layer(x)
    for layer, numbers in zip(added, weights, strict=True):
        layer.set_weights(numbers)
    return keras.Model(network.input, x, name=network.name)


def save_weights(network: keras.Model, path: Path) -> None:
    """Write the weights as Keras does, in HDF5, without the state of the optimiser."""
    _layers_alone(network).save_weights(path)


def load_network(
    config: TrainingConfig, n_features: int, weights: Path, appended: Sequence[DenseLayer] = ()
) -> keras.Model:
    """The network with the weights that :func:`save_weights` wrote.

    Nothing but numbers is read from the file: layers come from the config, never from a name in
    an artifact.

    Args:
        appended: the layers that :func:`append_layers` put behind it before it was saved.
    """
    network = append_layers(build_network(config, n_features), appended)
    _layers_alone(network).load_weights(weights)
    return network


def _layers_alone(network: keras.Model) -> keras.Model:
    """The same layers as a model that was not compiled, and so has no optimiser to save."""
    return keras.Model(network.input, network.output)


def read_layers(network: keras.Model) -> list[DenseLayer]:
    """The numbers of a network's layers, for whoever works without Keras."""
    layers = []
    for layer in network.layers[1:]:  # the first only names the input
        kernel, bias = layer.get_weights()
        activation = keras.activations.serialize(layer.activation)
        layers.append(DenseLayer(kernel=kernel.tolist(), bias=bias.tolist(), activation=activation))
    return layers


def describe_layers(network: keras.Model) -> list[dict[str, Any]]:
    """One entry a layer: name, output shape without the batch, and number of parameters."""
    return [
        {"name": layer.name, "shape": tuple(layer.output.shape[1:]), "params": layer.count_params()}
        for layer in network.layers
    ]
