"""Update rules of the optimizers for many members at once, each with its own learning rate.

Formulas, constants and order of operations are those of Keras's optimizers of the same names, so a
member takes the same steps as a network that Keras trains alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from model.training.config import Optimizer

Tensor = Any
Slots = tuple[Tensor, ...]
UpdateRule = Callable[[Tensor, Tensor, Slots, Tensor, Tensor, Tensor], tuple[Tensor, Slots]]
"""(weight, gradient, slots, learning rate, momentum, step number from 1) → weight, slots.

Learning rate, momentum and step number have as many axes as the weight, and broadcast.
"""

EPSILON = 1e-7
BETA_1, BETA_2 = 0.9, 0.999
RHO = 0.9
INITIAL_ACCUMULATOR = 0.1


def initial_slots(optimizer: Optimizer, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return an optimizer's state (its slots) for one weight before the first step."""
    match optimizer:
        case "sgd":
            return ()
        case "adam":
            return np.zeros_like(weight), np.zeros_like(weight)
        case "adagrad":
            return (np.full_like(weight, INITIAL_ACCUMULATOR),)
    return (np.zeros_like(weight),)


def _sgd(w: Tensor, g: Tensor, slots: Slots, rate: Tensor, *_: Tensor) -> tuple[Tensor, Slots]:
    return w - g * rate, slots


def _momentum(
    w: Tensor, g: Tensor, slots: Slots, rate: Tensor, momentum: Tensor, _: Tensor
) -> tuple[Tensor, Slots]:
    velocity = slots[0] * momentum - g * rate
    return w + velocity, (velocity,)


def _nesterov(
    w: Tensor, g: Tensor, slots: Slots, rate: Tensor, momentum: Tensor, _: Tensor
) -> tuple[Tensor, Slots]:
    velocity = slots[0] * momentum - g * rate
    return w + velocity * momentum - g * rate, (velocity,)


def _rmsprop(w: Tensor, g: Tensor, slots: Slots, rate: Tensor, *_: Tensor) -> tuple[Tensor, Slots]:
    """Apply RMSprop (Tieleman and Hinton, 2012)."""
    mean_square = RHO * slots[0] + (1 - RHO) * ops.square(g)
    return w - rate * g / ops.sqrt(mean_square + EPSILON), (mean_square,)


def _adagrad(w: Tensor, g: Tensor, slots: Slots, rate: Tensor, *_: Tensor) -> tuple[Tensor, Slots]:
    """Apply AdaGrad (Duchi and others, 2011)."""
    sum_of_squares = slots[0] + ops.square(g)
    return w - rate * g / ops.sqrt(sum_of_squares + EPSILON), (sum_of_squares,)


def _adam(
    w: Tensor, g: Tensor, slots: Slots, rate: Tensor, _: Tensor, step_number: Tensor
) -> tuple[Tensor, Slots]:
    """Apply Adam (Kingma and Ba, 2015), in the form at the end of section 2 of the paper."""
    mean = slots[0] + (g - slots[0]) * (1 - BETA_1)
    mean_square = slots[1] + (ops.square(g) - slots[1]) * (1 - BETA_2)
    # Cast like Keras: on TensorFlow the constants are rounded to single precision first.
    decayed_1 = ops.power(ops.cast(BETA_1, w.dtype), step_number)
    decayed_2 = ops.power(ops.cast(BETA_2, w.dtype), step_number)
    step_size = rate * ops.sqrt(1 - decayed_2) / (1 - decayed_1)
    return w - mean * step_size / (ops.sqrt(mean_square) + EPSILON), (mean, mean_square)


UPDATE_RULES: dict[Optimizer, UpdateRule] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adam": _adam,
}
