"""Compilation and gradients, for which Keras 3 has no operations of its own.

The only module with code for each backend. Everything else in the package uses Keras's operations
and runs on TensorFlow, JAX or PyTorch, as KERAS_BACKEND selects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

Tensor = Any
LossFunction = Callable[[Sequence[Tensor]], tuple[Tensor, Tensor]]
"""Weights → a scalar to differentiate, and an auxiliary tensor."""


def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with XLA, once per combination of input shapes.

    On PyTorch the function runs without compilation.

    Args:
        function: takes only tensors, or tuples of them, and returns tensors.

    Returns:
        A function of the same arguments that accepts NumPy arrays as well.
    """
    match keras.config.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf.function(function, jit_compile=True, autograph=False)
        case "jax":
            import jax

            return jax.jit(function)
    return lambda *args: function(*keras.tree.map_structure(keras.ops.convert_to_tensor, args))


def gradients(loss: LossFunction, weights: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
    """Return the auxiliary tensor of a loss function, and the gradient for each weight.

    Args:
        loss: returns the loss and an auxiliary tensor.
        weights: the weights at which the loss is differentiated.
    """
    match keras.config.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights)
                value, auxiliary = loss(weights)
            return auxiliary, tape.gradient(value, weights)
        case "jax":
            import jax

            (_, auxiliary), gradient = jax.value_and_grad(loss, has_aux=True)(weights)
            return auxiliary, gradient
    import torch

    leaves = [weight.detach().requires_grad_() for weight in weights]
    with torch.enable_grad():
        value, auxiliary = loss(leaves)
    return auxiliary.detach(), torch.autograd.grad(value, leaves)
