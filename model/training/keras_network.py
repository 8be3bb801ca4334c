"""The Keras network: building, compiling, calibrating, saving and loading it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from model.errors import InvalidConfig
from model.inference import DenseLayer
from model.training.config import LossName, TrainingConfig
from model.training.initializers import draw_kernel


class Head(NamedTuple):
    """The output layer of a network, which depends on the kind of outcome.

    Attributes:
        units: 1, or the number of classes.
        activation: ``sigmoid`` for a probability, ``softmax`` for the probabilities of several
            classes, ``linear`` for a number.
    """

    units: int = 1
    activation: str = "sigmoid"


PROBABILITY_HEAD = Head()


class SeededInitializer(keras.initializers.Initializer):
    """A Keras initializer that draws with :func:`model.training.initializers.draw_kernel`."""

    def __init__(self, config: TrainingConfig, layer: int) -> None:
        self.config, self.layer = config, layer

    def __call__(self, shape: tuple[int, int], dtype: Any = None) -> Any:
        """Return the initial kernel as a tensor of shape (n_inputs, n_units)."""
        kind, seed = self.config.initial_weights, self.config.seed
        kernel = draw_kernel(kind, shape, seed=seed, layer=self.layer)
        return keras.ops.convert_to_tensor(kernel, dtype)


def build_network(
    config: TrainingConfig, n_features: int, head: Head = PROBABILITY_HEAD
) -> keras.Model:
    """Build and compile a functional network: features → hidden layers → output.

    With 29 features and the default 16 ReLU units it has 29*16 + 16 + 16 + 1 = 497 parameters.
    Equal configs give equal initial weights on every backend, independent of earlier random draws.
    Only the Keras 3 API is used, so the network trains on TensorFlow, JAX and PyTorch.

    **Shape**: float32 (n, n_features) → float32 (n, head.units); by default (n, 1), the probability
    of the positive outcome, or a score if the loss is not plain cross-entropy.

    Args:
        config: architecture and training settings.
        n_features: number of input features.
        head: the output layer.

    Raises:
        InvalidConfig: the loss does not fit the head.
    """
    features = keras.Input((n_features,), name="features")

    def dense(units: int, activation: str, layer: int, name: str) -> keras.layers.Layer:
        return keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=SeededInitializer(config, layer),
            kernel_regularizer=keras.regularizers.L2(config.l2) if config.l2 else None,
            name=name,
        )

    x = features
    for layer, units in enumerate(config.hidden):
        x = dense(units, config.activation, layer, f"hidden_{layer + 1}")(x)
        if config.dropout:
            seed = config.seed * (len(config.hidden) + 1) + layer
            x = keras.layers.Dropout(config.dropout, seed=seed, name=f"dropout_{layer + 1}")(x)
    output = dense(head.units, head.activation, len(config.hidden), "probability")(x)
    network = keras.Model(features, output, name="network")
    network.compile(
        optimizer=_optimizer(config),
        loss=_loss(config, head),
        metrics=_metrics(head),
        # On TensorFlow, XLA compilation takes longer than 30 epochs of a network this small.
        # Without compilation, JAX runs every operation separately.
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
    """Validate that a loss fits the output layer.

    Raises:
        InvalidConfig: cross-entropy or focal loss for a linear output.
    """
    if head.activation == "linear" and loss != "squared_error":
        raise InvalidConfig(
            f"loss: {loss} needs probabilities, but the output is a number; use squared_error"
        )


def _loss(config: TrainingConfig, head: Head) -> keras.losses.Loss:
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
    """Replace the log-odds x by intercept + slope * x, in place, in the last layer's weights."""
    kernel, bias = network.layers[-1].get_weights()
    network.layers[-1].set_weights([kernel * slope, bias * slope + intercept])


def append_layers(network: keras.Model, layers: Sequence[DenseLayer]) -> keras.Model:
    """Return the network with its log-odds passed through further layers.

    The last layer becomes linear and keeps its weights. The result is not compiled; without layers
    it is the network itself.

    Args:
        network: a network with one output, a probability.
        layers: map (n, 1) to (n, 1); the last one's activation must return a probability.
    """
    if not layers:
        return network
    last = network.layers[-1]
    weights = [last.get_weights()]
    weights += [[np.array(layer.kernel), np.array(layer.bias)] for layer in layers]
    x = last.input
    added = [keras.layers.Dense(1, name="log_odds")]
    for number, layer in enumerate(layers, start=1):
        name = "probability" if number == len(layers) else f"calibration_{number}"
        added.append(keras.layers.Dense(len(layer.bias), layer.activation, name=name))
    for keras_layer in added:
        x = keras_layer(x)
    for keras_layer, kernel_and_bias in zip(added, weights, strict=True):
        keras_layer.set_weights(kernel_and_bias)
    return keras.Model(network.input, x, name=network.name)


def save_weights(network: keras.Model, path: Path) -> None:
    """Write the weights in Keras's HDF5 format, without the state of the optimizer."""
    _without_optimizer(network).save_weights(path)


def load_network(
    config: TrainingConfig, n_features: int, weights: Path, appended: Sequence[DenseLayer] = ()
) -> keras.Model:
    """Build a network and load the weights that :func:`save_weights` wrote.

    Only numbers are read from the file. The layers are built from the config, never from a name in
    an artifact.

    Args:
        config: the config that the network was built with.
        n_features: number of input features.
        weights: the HDF5 file.
        appended: the layers that :func:`append_layers` added before the network was saved.
    """
    network = append_layers(build_network(config, n_features), appended)
    _without_optimizer(network).load_weights(weights)
    return network


def _without_optimizer(network: keras.Model) -> keras.Model:
    """Return an uncompiled model of the same layers, which has no optimizer state to save."""
    return keras.Model(network.input, network.output)


def read_layers(network: keras.Model) -> list[DenseLayer]:
    """Return a network's layers as plain numbers, for code that does not import Keras."""
    layers = []
    for layer in dense_layers(network):
        kernel, bias = layer.get_weights()
        activation = keras.activations.serialize(layer.activation)
        layers.append(DenseLayer(kernel=kernel.tolist(), bias=bias.tolist(), activation=activation))
    return layers


def dense_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers that have weights."""
    return [layer for layer in network.layers if layer.weights]


def describe_layers(network: keras.Model) -> list[dict[str, Any]]:
    """Return the name, output shape without the batch axis, and parameter count of each layer."""
    return [
        {"name": layer.name, "shape": tuple(layer.output.shape[1:]), "params": layer.count_params()}
        for layer in network.layers
    ]
