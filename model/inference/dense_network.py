"""The numbers of a dense network, and its log-odds worked out with NumPy alone.

ONNX Runtime is quicker for whole records. Explaining one record asks for hundreds of thousands of
answers whose first layers differ by sums of a few vectors, and for those the layers must be open.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

LEAKY_RELU_SLOPE = 0.2
"""What Keras's leaky_relu lets through below zero."""


class DenseLayer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dense layer: activation(x @ kernel + bias).

    Attributes:
        kernel: n_inputs rows of n_units.
        bias: n_units.
        activation: as :class:`model.training.fit.config.TrainingConfig` names it.
    """

    kernel: list[list[float]]
    bias: list[float]
    activation: Literal["relu", "leaky_relu", "tanh", "sigmoid", "softmax", "linear"]


def _relu(x: np.ndarray) -> None:
    np.maximum(x, 0, out=x)


def _leaky_relu(x: np.ndarray) -> None:
    np.maximum(x, LEAKY_RELU_SLOPE * x, out=x)


def _tanh(x: np.ndarray) -> None:
    np.tanh(x, out=x)


def _sigmoid(x: np.ndarray) -> None:
    # By way of tanh, which has no argument that overflows.
    x *= 0.5
    np.tanh(x, out=x)
    x += 1
    x *= 0.5


def _softmax(x: np.ndarray) -> None:
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)


def _linear(_: np.ndarray) -> None:
    pass


ACTIVATION_FUNCTIONS: Mapping[str, Callable[[np.ndarray], None]] = {
    "relu": _relu, "leaky_relu": _leaky_relu, "tanh": _tanh, "sigmoid": _sigmoid,
    "softmax": _softmax, "linear": _linear,
}  # fmt: skip
"""Each works in place."""


def _relu_gradient(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * (output > 0)


def _leaky_relu_gradient(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * np.where(output > 0, 1, LEAKY_RELU_SLOPE).astype(output.dtype)


def _tanh_gradient(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * (1 - output * output)


def _sigmoid_gradient(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * (output * (1 - output))


def _softmax_gradient(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return output * (gradient - (gradient * output).sum(axis=-1, keepdims=True))


def _linear_gradient(_: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient


ACTIVATION_GRADIENTS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "relu": _relu_gradient, "leaky_relu": _leaky_relu_gradient, "tanh": _tanh_gradient,
    "sigmoid": _sigmoid_gradient, "softmax": _softmax_gradient, "linear": _linear_gradient,
}  # fmt: skip
"""By activation: what it gave, and the gradient there → the gradient of its argument."""


class DenseNetwork:
    """Dense layers that end in one sigmoid unit, whose argument is the log-odds.

    Args:
        layers: in order; a single one is logistic regression.
        n_features: of the network's input.
        dtype: float64 where one answer has to be right, float32 for hundreds of thousands.

    Raises:
        ValueError: the layers do not fit each other, or are no such network.
    """

    def __init__(self, layers: Sequence[DenseLayer], n_features: int, dtype: type) -> None:
        if not layers or len(layers[-1].bias) != 1 or layers[-1].activation != "sigmoid":
            raise ValueError("a network must end in one sigmoid unit")
        with np.errstate(over="ignore"):  # what single precision cannot hold is refused below
            self.kernels: list[np.ndarray] = [np.array(layer.kernel, dtype) for layer in layers]
            self.biases: list[np.ndarray] = [np.array(layer.bias, dtype) for layer in layers]
        self._activations = [ACTIVATION_FUNCTIONS[layer.activation] for layer in layers]
        self._activation_gradients = [ACTIVATION_GRADIENTS[layer.activation] for layer in layers]
        n_inputs = n_features
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            if kernel.shape != (n_inputs, *bias.shape):
                raise ValueError("a kernel does not fit the layer before it or its bias")
            if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
                raise ValueError("a kernel or a bias is not finite")
            n_inputs = len(bias)
        self.max_units = max(len(bias) for bias in self.biases)

    def first_layer_sums(self, features: np.ndarray) -> np.ndarray:
        """(n, n_features) → (n, n_units): the first layer's sums, before its activation."""
        return features @ self.kernels[0] + self.biases[0]

    def log_odds(self, first: np.ndarray) -> np.ndarray:
        """(n, n_units) as of :meth:`first_layer_sums`, which is overwritten → (n,)."""
        x = first
        for number, (activate, _) in enumerate(itertools.pairwise(self._activations), start=1):
            activate(x)
            x = x @ self.kernels[number]
            x += self.biases[number]
        return x[:, 0]

    def log_odds_and_gradients(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The log-odds of n inputs, and what a small change of each feature would add to them.

        Where a ReLU has its kink, at exactly 0, its slope counts as that below.

        **Shape**: (n, n_features) → (n,), (n, n_features).
        """
        x, outputs = self.first_layer_sums(features), []
        for number, activate in enumerate(self._activations[:-1], start=1):
            activate(x)
            outputs.append(x)
            x = x @ self.kernels[number] + self.biases[number]
        gradients = np.ones_like(x)
        for number in range(len(outputs), 0, -1):
            gradients = gradients @ self.kernels[number].T
            gradients = self._activation_gradients[number - 1](outputs[number - 1], gradients)
        return x[:, 0], gradients @ self.kernels[0].T
