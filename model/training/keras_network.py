"""The network: the only file that names Keras layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from model.errors import InvalidConfig
from model.inference import DenseLayer
from model.training import activations
from model.training.config import LossName, TrainingConfig
from model.training.initializers import draw_kernel


class Head(NamedTuple):
    """What a network's last layer gives; here everything is read that depends on the outcome's kind.

    Attributes:
        units: 1, or the number of classes.
        activation: ``sigmoid`` for a probability, ``softmax`` for the probabilities of several
            classes, ``linear`` for a number.
    """

    units: int = 1
    activation: str = "sigmoid"


PROBABILITY_HEAD = Head()


class SeededInitializer(keras.initializers.Initializer):
    """First weights as :func:`model.training.initializers.draw_kernel` draws them."""

    def __init__(self, config: TrainingConfig, layer: int) -> None:
        self.config, self.layer = config, layer

    def __call__(self, shape: tuple[int, int], dtype: Any = None) -> Any:
        """A tensor of that shape, which is (n_inputs, n_units)."""
        kind, seed = self.config.initial_weights, self.config.seed
        drawn = draw_kernel(kind, shape, seed=seed, layer=self.layer)
        return keras.ops.convert_to_tensor(drawn, dtype)


def build_network(
    config: TrainingConfig, n_features: int, head: Head = PROBABILITY_HEAD
) -> keras.Model:
    """A compiled functional network: features → hidden layers → output.

    With 29 features and the default 16 ReLU units it has 29*16 + 16 + 16 + 1 = 497 parameters.
    Equal configs give equal first weights, whatever was drawn before, on every backend.

    **Shape**: float32 (n, n_features) → float32 (n, head.units); by default (n, 1), the probability
    of the positive outcome, or a score where the config's loss asks for something else.

    Keras 3 API only, so that the same network trains on TensorFlow, JAX and PyTorch.

    Raises:
        InvalidConfig: the loss does not fit the head, or the activation is code that nobody
            handed in.
    """
    features = keras.Input((n_features,), name="features")

    def dense(units: int, activation: Any, layer: int, name: str) -> keras.layers.Layer:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=SeededInitializer(config, layer),
            kernel_regularizer=keras.regularizers.L2(config.l2) if config.l2 else None,
            name=name,
        )

    x, activation = features, activations.resolve(config.activation)
    for layer, units in enumerate(config.hidden):
        x = dense(units, activation, layer, f"hidden_{layer + 1}")(x)
        if config.dropout:
            seed = config.seed * (len(config.hidden) + 1) + layer
            x = keras.layers.Dropout(config.dropout, seed=seed, name=f"dropout_{layer + 1}")(x)
    output = dense(head.units, head.activation, len(config.hidden), "probability")(x)
    network = keras.Model(features, output, name="network")
    network.compile(
        optimizer=_optimizer(config),
        loss=_loss(config, head),
        metrics=_metrics(head),
        # On TensorFlow compiling takes longer than 30 epochs of a network this small; JAX without
        # it would run step by step.
        jit_compile=False if keras.config.backend() == "tensorflow" else "auto",
    )
    return network


def _optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    rate, momentum = config.learning_rate, config.momentum
    match config.optimizer:
        case "adam":
            return keras.optimizers.Adam(rate)
        case "sgd":
            return keras.optimizers.SGD(rate)
        case "momentum":
            return keras.optimizers.SGD(rate, momentum=momentum)
        case "nesterov":
            return keras.optimizers.SGD(rate, momentum=momentum, nesterov=True)
        case "rmsprop":
            return keras.optimizers.RMSprop(rate)
        case "adagrad":
            return keras.optimizers.Adagrad(rate)


def check_head(loss: LossName, head: Head) -> None:
    """Refuse a loss of probabilities for an output that is none.

    Raises:
        InvalidConfig: cross-entropy of any kind for a linear output.
    """
    if head.activation == "linear" and loss != "squared_error":
        raise InvalidConfig(f"loss: {loss} needs probabilities, and the output is a number")


def _loss(config: TrainingConfig, head: Head) -> keras.losses.LossName:
    check_head(config.loss, head)
    match config.loss, head.activation:
        case "squared_error", _:
            return keras.losses.MeanSquaredError()
        case "cross_entropy", "sigmoid":
            return keras.losses.BinaryCrossentropy()
        case "cross_entropy", "softmax":
            return keras.losses.CategoricalCrossentropy()
        case "focal", "sigmoid":
            return keras.losses.BinaryFocalCrossentropy(gamma=config.focal_gamma)
        case "focal", "softmax":
            return keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=config.focal_gamma)
    raise AssertionError(config.loss, head)


def _metrics(head: Head) -> list[keras.metrics.Metric]:
    match head.activation:
        case "sigmoid":
            return [keras.metrics.BinaryAccuracy(name="accuracy")]
        case "softmax":
            return [keras.metrics.CategoricalAccuracy(name="accuracy")]
    return []


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
    """Write the weights as Keras does, in HDF5, without the state of the optimizer."""
    _without_optimizer(network).save_weights(path)


def load_network(
    config: TrainingConfig, n_features: int, weights: Path, appended: Sequence[DenseLayer] = ()
) -> keras.Model:
    """The network with the weights that :func:`save_weights` wrote.

    Nothing but numbers is read from the file: layers come from the config, never from a name in
    an artifact.

    Args:
        appended: the layers that :func:`append_layers` put behind it before it was saved.

    Raises:
        InvalidConfig: its activation is code that nobody handed in.
    """
    network = append_layers(build_network(config, n_features), appended)
    _without_optimizer(network).load_weights(weights)
    return network


def _without_optimizer(network: keras.Model) -> keras.Model:
    """The same layers as a model that was not compiled, and so has no optimizer to save."""
    return keras.Model(network.input, network.output)


def read_layers(network: keras.Model) -> list[DenseLayer]:
    """The numbers of a network's layers, for whoever works without Keras."""
    layers = []
    for layer in dense_layers(network):
        kernel, bias = layer.get_weights()
        activation = keras.activations.serialize(layer.activation)
        layers.append(DenseLayer(kernel=kernel.tolist(), bias=bias.tolist(), activation=activation))
    return layers


def dense_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """The layers that have weights."""
    return [layer for layer in network.layers if layer.weights]


def describe_layers(network: keras.Model) -> list[dict[str, Any]]:
    """One entry a layer: name, output shape without the batch, and number of parameters."""
    return [
        {"name": layer.name, "shape": tuple(layer.output.shape[1:]), "params": layer.count_params()}
        for layer in network.layers
    ]
