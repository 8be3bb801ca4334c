"""Activation functions and their backward passes in NumPy, under Keras's names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

ActivationName = Literal[
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
    "tanh",
    "sigmoid",
    "softmax",
    "linear",
]

LEAKY_RELU_SLOPE = 0.2
"""Slope of Keras's leaky_relu below zero."""

_ERF_STEP = 1 / 512
_ERF_LIMIT = 6.0
_ERF_KNOTS = np.arange(0, _ERF_LIMIT + 2 * _ERF_STEP, _ERF_STEP)
_ERF_VALUES = np.array([math.erf(knot) for knot in _ERF_KNOTS.tolist()])
_ERF_SLOPES = 2 / math.sqrt(math.pi) * np.exp(-_ERF_KNOTS * _ERF_KNOTS)


class Activation(NamedTuple):
    """An activation function.

    Attributes:
        apply: overwrites its argument with the function's values.
        backward: maps the function's output, or its input if ``needs_input``, and the gradient at
            the output to the gradient at the input.
        needs_input: whether the derivative cannot be computed from the output.
    """

    apply: Callable[[np.ndarray], None]
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray]
    needs_input: bool = False

    def apply_and_save(self, x: np.ndarray) -> np.ndarray:
        """Overwrite the argument with the function's values; return what ``backward`` needs."""
        saved = x.copy() if self.needs_input else x
        self.apply(x)
        return saved


def erf(x: np.ndarray) -> np.ndarray:
    """Return the error function, to 1e-12.

    Computed by cubic Hermite interpolation between values of :func:`math.erf`.

    >>> float(erf(np.array([0.5]))[0]) - math.erf(0.5) < 1e-12
    True
    """
    position = np.minimum(np.abs(x), _ERF_LIMIT, dtype=np.float64) / _ERF_STEP
    index = position.astype(np.intp)
    t = position - index
    left, right = _ERF_VALUES[index], _ERF_VALUES[index + 1]
    slope_left, slope_right = _ERF_SLOPES[index] * _ERF_STEP, _ERF_SLOPES[index + 1] * _ERF_STEP
    change = right - left
    quadratic = 3 * change - 2 * slope_left - slope_right
    cubic = slope_left + slope_right - 2 * change
    values: np.ndarray = np.copysign(left + t * (slope_left + t * (quadratic + t * cubic)), x)
    return values


def _relu(x: np.ndarray) -> None:
    np.maximum(x, 0, out=x)


def _relu_backward(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * (output > 0)


def _leaky_relu(x: np.ndarray) -> None:
    np.maximum(x, LEAKY_RELU_SLOPE * x, out=x)


def _leaky_relu_backward(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * np.where(output > 0, 1, LEAKY_RELU_SLOPE).astype(output.dtype)


def _elu(x: np.ndarray) -> None:
    x[...] = np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _elu_backward(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * (np.minimum(output, 0) + 1)


def _gelu(x: np.ndarray) -> None:
    x *= _normal_distribution(x)


def _gelu_backward(x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return gradient * (_normal_distribution(x) + x * density)


def _normal_distribution(x: np.ndarray) -> np.ndarray:
    return (0.5 + 0.5 * erf(x / math.sqrt(2))).astype(x.dtype)


def _silu(x: np.ndarray) -> None:
    x *= _sigmoid_of(x)


def _silu_backward(x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    sigmoid = _sigmoid_of(x)
    return gradient * sigmoid * (1 + x * (1 - sigmoid))


def _softplus(x: np.ndarray) -> None:
    np.logaddexp(x, 0, out=x)


def _softplus_backward(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * -np.expm1(-output)


def _tanh(x: np.ndarray) -> None:
    np.tanh(x, out=x)


def _tanh_backward(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * (1 - output * output)


def _sigmoid(x: np.ndarray) -> None:
    # Computed from tanh, which never overflows.
    x *= 0.5
    np.tanh(x, out=x)
    x += 1
    x *= 0.5


def _sigmoid_of(x: np.ndarray) -> np.ndarray:
    output = x.copy()
    _sigmoid(output)
    return output


def _sigmoid_backward(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient * (output * (1 - output))


def _softmax(x: np.ndarray) -> None:
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)


def _softmax_backward(output: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return output * (gradient - (gradient * output).sum(axis=-1, keepdims=True))


def _linear(_: np.ndarray) -> None:
    pass


def _linear_backward(_: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": Activation(_relu, _relu_backward),
    "leaky_relu": Activation(_leaky_relu, _leaky_relu_backward),
    "elu": Activation(_elu, _elu_backward),
    "gelu": Activation(_gelu, _gelu_backward, needs_input=True),
    "silu": Activation(_silu, _silu_backward, needs_input=True),
    "softplus": Activation(_softplus, _softplus_backward),
    "tanh": Activation(_tanh, _tanh_backward),
    "sigmoid": Activation(_sigmoid, _sigmoid_backward),
    "softmax": Activation(_softmax, _softmax_backward),
    "linear": Activation(_linear, _linear_backward),
}
"""Activations by the name in :data:`ActivationName`."""
