"""Forward pass and losses of many networks with the same number of layers.

The networks form a grid of G groups with m members each. The members of a group see the same
records, so their first layers are one matrix product. The member axis comes last, where arithmetic
over thousands of small networks is fastest.

Shapes: B is the number of records in a step, F of features, U of units in a layer, O of outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from model.training.config import LossName, Optimizer

Tensor = Any
MIN_POWER_BASE = 1e-12
"""Lower bound of the base of ``x ** gamma``: at 0 the gradient is not finite for gamma below 1."""
ABSENT_UNIT_LOGIT = -1e9
"""Logit of a unit that a member does not have; softmax gives it the probability 0."""


class ProgramSpec(NamedTuple):
    """The static settings that all members of a program share.

    Attributes:
        activation: activation of the hidden layers.
        output: activation of the output layer.
        loss: loss function.
        optimizer: optimizer.
        batch_size: B.
        uneven: True if members differ in their number of steps, or may stop before others.
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
    """Return the outputs of all members before the last activation.

    **Shape**: features (G, B, F) → (G, B, O, m).

    Args:
        spec: the static settings.
        weights: kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m).
        features: (G, B, F), the records of each group.
        units: per hidden layer (G, 1, U, m), 1 for units that a member has and 0 for padding; empty
            if all members have all units.
        dropout_masks: per hidden layer (G, B, U, m), factors of the units; empty without dropout.
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
    return keras.activations.get(name)(x)


def record_losses(spec: ProgramSpec, outputs: Tensor, labels: Tensor, gamma: Tensor) -> Tensor:
    """Return the loss of each record, without record weights and L2 penalty.

    Args:
        spec: the static settings.
        outputs: (G, B, O, m), outputs before the last activation.
        labels: (G, B, O).
        gamma: (G, m), focusing parameter of the focal loss.

    Returns:
        (G, B, m).
    """
    labels, gamma = labels[:, :, :, None], gamma[:, None, None]
    if spec.loss == "squared_error":
        return ops.mean(ops.square(_activate(spec.output, outputs) - labels), axis=2)
    if spec.output == "softmax":
        log_probabilities = ops.log_softmax(outputs, axis=2)
        losses = -labels * log_probabilities
        errors = 1 - ops.exp(log_probabilities)
    else:
        losses = ops.softplus(outputs) - outputs * labels  # cross-entropy computed from log-odds
        probabilities = ops.sigmoid(outputs)
        errors = probabilities + labels - 2 * probabilities * labels
    if spec.loss == "focal":
        losses = losses * ops.power(ops.maximum(errors, MIN_POWER_BASE), gamma)
    return ops.sum(losses, axis=2) if spec.output == "softmax" else ops.mean(losses, axis=2)


def l2_penalty(weights: Sequence[Tensor], l2: Tensor) -> Tensor:
    """Return the L2 penalty of each member's kernels: (G, m)."""
    squares = [ops.sum(ops.square(kernel), axis=(1, 2)) for kernel in weights[::2]]
    return l2 * functools.reduce(ops.add, squares)
