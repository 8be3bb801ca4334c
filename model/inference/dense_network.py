"""Dense networks evaluated with NumPy: one network, or many of the same shape at once.

ONNX Runtime is faster for complete records. Explanations evaluate a network hundreds of thousands
of times on first-layer sums that are themselves sums of a few vectors. Missing values and intervals
need gradients. Both need the arrays of the layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from model.inference.activations import ACTIVATIONS, ActivationName


class DenseLayer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One dense layer: activation(x @ kernel + bias).

    Attributes:
        kernel: n_inputs rows of n_units.
        bias: n_units.
        activation: a name of :data:`~model.inference.activations.ACTIVATIONS`.
    """

    kernel: list[list[float]]
    bias: list[float]
    activation: ActivationName


class MemberLayer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dense layer of m networks.

    Attributes:
        shape: (m, n_inputs, n_units).
        kernel: float32, little-endian, of that shape; in JSON as base64.
        bias: float32, little-endian, (m, n_units); in JSON as base64.
        activation: a name of :data:`~model.inference.activations.ACTIVATIONS`.
    """

    shape: tuple[int, int, int]
    kernel: bytes
    bias: bytes
    activation: ActivationName


class DenseNetwork:
    """A dense network that ends in one sigmoid unit, whose input is the log-odds.

    Args:
        layers: in order; a single layer is logistic regression.
        n_features: of the network's input.
        dtype: float64 for exact single answers, float32 for hundreds of thousands.

    Attributes:
        kernels: by layer, (n_inputs, n_units).
        biases: by layer, (n_units,).
        max_units: of the widest layer.

    Raises:
        ValueError: the layers do not fit together, do not end in one sigmoid unit, or hold a
            number that is not finite in this dtype.
    """

    def __init__(self, layers: Sequence[DenseLayer], n_features: int, dtype: type) -> None:
        if not layers or len(layers[-1].bias) != 1 or layers[-1].activation != "sigmoid":
            raise ValueError("a network must end in one sigmoid unit")
        with np.errstate(over="ignore"):  # numbers beyond float32 become inf and are refused below
            self.kernels: list[np.ndarray] = [np.array(layer.kernel, dtype) for layer in layers]
            self.biases: list[np.ndarray] = [np.array(layer.bias, dtype) for layer in layers]
        self._activations = [ACTIVATIONS[layer.activation] for layer in layers]
        n_inputs = n_features
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            if kernel.shape != (n_inputs, *bias.shape):
                raise ValueError("a kernel does not fit the layer before it or its bias")
            if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
                raise ValueError("a kernel or a bias is not finite")
            n_inputs = len(bias)
        self.max_units = max(len(bias) for bias in self.biases)

    def first_layer_sums(self, features: np.ndarray) -> np.ndarray:
        """Return the sums of the first layer before its activation.

        **Shape**: (n, n_features) → (n, n_units).
        """
        return features @ self.kernels[0] + self.biases[0]

    def log_odds(self, sums: np.ndarray) -> np.ndarray:
        """Return the log-odds of n inputs, given their first-layer sums.

        Args:
            sums: (n, n_units) as :meth:`first_layer_sums` returns them; overwritten.

        Returns:
            (n,) of the network's dtype.
        """
        x = sums
        for number, activation in enumerate(self._activations[:-1], start=1):
            activation.apply(x)
            x = x @ self.kernels[number]
            x += self.biases[number]
        return x[:, 0]

    def log_odds_and_gradients(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the log-odds of n inputs and their gradients by the features.

        The slope of a ReLU at exactly 0 counts as 0, its slope below.

        **Shape**: (n, n_features) → (n,), (n, n_features).
        """
        x, saved = self.first_layer_sums(features), []
        for number, activation in enumerate(self._activations[:-1], start=1):
            saved.append(activation.apply_and_save(x))
            x = x @ self.kernels[number] + self.biases[number]
        gradients = np.ones_like(x)
        for number in range(len(saved), 0, -1):
            gradients = gradients @ self.kernels[number].T
            gradients = self._activations[number - 1].backward(saved[number - 1], gradients)
        return x[:, 0], gradients @ self.kernels[0].T


class StackedDenseNetwork:
    """m dense networks of the same shape, evaluated together in single precision.

    Each ends in one linear unit, which is the log-odds.

    Args:
        layers: in order, each of all m networks.
        n_features: of the networks' input.

    Raises:
        ValueError: the layers do not fit together, do not end in one linear unit, or hold a number
            that is not finite.
    """

    def __init__(self, layers: Sequence[MemberLayer], n_features: int) -> None:
        kernels, self._biases = _decode_layers(layers, n_features)
        # All first layers in one matrix, so that one product computes them.
        self._first_kernels = kernels[0].transpose(1, 0, 2).reshape(kernels[0].shape[1], -1)
        self._kernels = kernels[1:]
        self._activations = [ACTIVATIONS[layer.activation] for layer in layers]

    def log_odds(self, features: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the log-odds of n inputs and what :meth:`gradients` needs of the hidden layers.

        Args:
            features: (n, n_features).

        Returns:
            float32 (n, m), and for each hidden layer float32 (n, m, n_units).
        """
        x = features.astype(np.float32) @ self._first_kernels
        x = x.reshape(len(x), *self._biases[0].shape) + self._biases[0]
        saved = []
        for activation, kernel, bias in zip(
            self._activations[:-1], self._kernels, self._biases[1:], strict=True
        ):
            saved.append(activation.apply_and_save(x))
            x = _batched_matmul(x, kernel) + bias
        return x[:, :, 0], saved

    def gradients(self, n: int, saved: Sequence[np.ndarray]) -> np.ndarray:
        """Return the gradients of n log-odds by the features.

        Args:
            n: inputs that were evaluated; a network without a hidden layer saves nothing to count.
            saved: of the hidden layers, as :meth:`log_odds` returns them.

        Returns:
            float32 (m, n, n_features).
        """
        m, units = self._biases[0].shape
        gradients = np.ones((n, m, 1), np.float32)
        for number in range(len(saved) - 1, -1, -1):
            gradients = np.einsum("nmv,muv->nmu", gradients, self._kernels[number])
            gradients = self._activations[number].backward(saved[number], gradients)
        first = self._first_kernels.reshape(-1, m, units).transpose(1, 2, 0)
        return gradients.transpose(1, 0, 2) @ first


def _batched_matmul(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Multiply network by network: (n, m, u), (m, u, v) → (n, m, v)."""
    if kernel.shape[2] == 1:
        return np.einsum("nmu,mu->nm", x, kernel[:, :, 0])[:, :, None]
    return np.einsum("nmu,muv->nmv", x, kernel)


def _decode_layers(
    layers: Sequence[MemberLayer], n_features: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return kernels (m, n_inputs, n_units) and biases (m, n_units), by layer.

    Raises:
        ValueError: as :class:`StackedDenseNetwork`.
    """
    if not layers or layers[-1].shape[2] != 1 or layers[-1].activation != "linear":
        raise ValueError("members must end in one linear unit")
    kernels, biases, n_inputs = [], [], n_features
    for layer in layers:
        m, inputs, units = layer.shape
        if m != layers[0].shape[0] or inputs != n_inputs:
            raise ValueError("a layer does not fit the one before it")
        kernels.append(np.frombuffer(layer.kernel, "<f4").reshape(layer.shape))
        biases.append(np.frombuffer(layer.bias, "<f4").reshape(m, units))
        if not (np.isfinite(kernels[-1]).all() and np.isfinite(biases[-1]).all()):
            raise ValueError("a kernel or a bias is not finite")
        n_inputs = units
    return kernels, biases
