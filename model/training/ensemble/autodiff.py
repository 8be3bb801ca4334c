"""What Keras has no operation for: compiling a function, and its gradient.

The only file that names a backend. Everything else is written in Keras's operations, and runs on
whichever of TensorFlow, JAX and PyTorch KERAS_BACKEND chose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

Tensor = Any
LossFunction = Callable[[Sequence[Tensor]], tuple[Tensor, Tensor]]
"""Weights → a number to differentiate, and something else that came up on the way."""


def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled by XLA, anew for other shapes; on PyTorch as it is.

    Args:
        function: takes tensors, and nothing else, and gives tensors.

    Returns:
        What takes tensors or arrays, also in tuples, and gives tensors.
    """
    match keras.config.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf.function(function, jit_compile=True, autograph=False)
        case "jax":
            import jax

            return jax.jit(function)
    return lambda *given: function(*keras.tree.map_structure(keras.ops.convert_to_tensor, given))


def gradients(loss: LossFunction, weights: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
    """What came up on the way, and the gradient of the loss by every weight."""
    match keras.config.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                value, beside = loss(weights)
            return beside, tape.gradient(value, weights)
        case "jax":
            import jax

            (_, beside), found = jax.value_and_grad(loss, has_aux=True)(weights)
            return beside, found
    import torch

    free = [weight.detach().requires_grad_() for weight in weights]
    with torch.enable_grad():
        value, beside = loss(free)
    return beside.detach(), torch.autograd.grad(value, free)
