"""What many networks of the same make say of their records, and what it costs them.

The networks stand in a grid of G groups with m members each. The members of a group see the same
records, so that their first layers are one product of matrices; the member axis comes last, where
arithmetic over thousands of small networks is fastest.

In the shapes B is the records of a step, F the features, U the units of a layer, O the outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from model.training import activations
from model.training.config import LossName, Optimizer

Tensor = Any
MIN_POWER_BASE = 1e-12
"""Has a power of any sign, and a gradient."""
ABSENT_UNIT_LOGIT = -1e9
"""What a unit that a member does not have shows to softmax."""


class ProgramSpec(NamedTuple):
    """What all members of one program have in common.

    Attributes:
        batch_size: B.
        uneven: some members skip some steps, or stop before the others.
    """

    activation: str
    output: str
    loss: LossName
    optimizer: Optimizer
    batch_size: int
    uneven: bool


def forward_pass(
    spec: ProgramSpec,
    weights: Sequence[Tensor],
    features: Tensor,
    units: Sequence[Tensor] = (),
    dropout_masks: Sequence[Tensor] = (),
) -> Tensor:
    """(G, B, F) → (G, B, O, m): what comes out before the last activation.

    Args:
        units: by hidden layer (G, 1, U, m) of 0 and 1, which units a member has; empty for all.
        dropout_masks: by hidden layer (G, B, U, m).
    """
    kernel = weights[0]
    groups, inputs, width, members = kernel.shape
    x = ops.matmul(features, ops.reshape(kernel, (groups, inputs, width * members)))
    x = ops.reshape(x, (groups, -1, width, members)) + weights[1][:, None]
    for layer in range(len(weights) // 2 - 1):
        if units and spec.activation == "softmax":
            x = x + (1 - units[layer]) * ABSENT_UNIT_LOGIT
        x = _activate(spec.activation, x)
        if units:
            x = x * units[layer]
        if dropout_masks:
            x = x * dropout_masks[layer]
        kernel, bias = weights[2 * layer + 2 : 2 * layer + 4]
        x = ops.einsum("gbum,guvm->gbvm", x, kernel) + bias[:, None]
    return x


def _activate(name: str, x: Tensor) -> Tensor:
    if name == "softmax":
        return ops.softmax(x, axis=-2)
    return keras.activations.get(activations.resolve(name))(x)


def record_losses(spec: ProgramSpec, outputs: Tensor, labels: Tensor, gamma: Tensor) -> Tensor:
    """The loss of every record, without weights and penalty.

    Args:
        outputs: (G, B, O, m), before the last activation.
        labels: (G, B, O)
        gamma: (G, m), of the focal loss.

    Returns:
        (G, B, m)
    """
    labels, gamma = labels[:, :, :, None], gamma[:, None, None]
    if spec.loss == "squared_error":
        return ops.mean(ops.square(_activate(spec.output, outputs) - labels), axis=2)
    if spec.output == "softmax":
        logs = ops.log_softmax(outputs, axis=2)
        parts = -labels * logs
        wrong = 1 - ops.exp(logs)
    else:
        parts = ops.softplus(outputs) - outputs * labels  # -log p of what happened, from log-odds
        seen = ops.sigmoid(outputs)
        wrong = seen + labels - 2 * seen * labels
    if spec.loss == "focal":
        parts = parts * ops.power(ops.maximum(wrong, MIN_POWER_BASE), gamma)
    return ops.sum(parts, axis=2) if spec.output == "softmax" else ops.mean(parts, axis=2)


def l2_penalty(weights: Sequence[Tensor], l2: Tensor) -> Tensor:
    """(G, m): what the kernels add to the loss."""
    squares = [ops.sum(ops.square(kernel), axis=(1, 2)) for kernel in weights[::2]]
    return l2 * functools.reduce(ops.add, squares)
