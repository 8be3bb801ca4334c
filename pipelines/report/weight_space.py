"""Outputs and losses of a network at many points in weight space, in one call."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from model.training import TrainingConfig
from model.training.ensemble import ProgramSpec, forward_pass, l2_penalty, record_losses

MAX_ACTIVATION_VALUES = 20_000_000
"""Most values of the widest layer in one pass, which limits the block of records."""
OUTPUT_ACTIVATION = "sigmoid"


def stack_networks(weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Add a last axis of length 1 to each weight array: one network as a stack of networks."""
    return [weight[..., None] for weight in weights]


def log_odds(
    config: TrainingConfig, weights: Sequence[np.ndarray], features: np.ndarray
) -> np.ndarray:
    """Return the log-odds of m networks of the same architecture.

    Args:
        config: the config of the networks.
        weights: kernel, bias, kernel, bias, …: (inputs, units, m) and (units, m).
        features: (n, n_features)

    Returns:
        float64 (n, m), the outputs before the sigmoid.
    """
    return np.concatenate([block[0, :, 0] for block, _ in _outputs(config, weights, features)])


def training_loss(
    config: TrainingConfig, weights: Sequence[np.ndarray], features: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return the loss that training minimises, for m networks of the same architecture.

    Args:
        config: the config of the networks.
        weights, features: as in :func:`log_odds`.
        labels: (n,) of 0 and 1.

    Returns:
        float64 (m,): the mean loss with the weight of the positive class, and the L2 penalty.
    """
    gamma = np.full((1, weights[0].shape[-1]), config.focal_gamma, keras.config.floatx())
    record_weights = np.where(labels == 1, config.positive_class_weight, 1.0)
    total = np.zeros(weights[0].shape[-1])
    for block, rows in _outputs(config, weights, features):
        targets = labels[rows].astype(keras.config.floatx())[None, :, None]
        losses = record_losses(_program_spec(config), block, targets, gamma)
        total += record_weights[rows] @ np.asarray(
            keras.ops.convert_to_numpy(losses[0]), np.float64
        )
    l2 = np.full_like(gamma, config.l2)
    penalty = l2_penalty([_tensor(weight) for weight in weights], l2)
    return total / len(features) + keras.ops.convert_to_numpy(penalty)[0]


def _outputs(
    config: TrainingConfig, weights: Sequence[np.ndarray], features: np.ndarray
) -> list[tuple[np.ndarray, slice]]:
    """Return the outputs (1, b, 1, m) of successive blocks of records, each with its slice."""
    tensors = [_tensor(weight) for weight in weights]
    widest = max(kernel.shape[1] for kernel in weights[::2])
    block_size = max(1, MAX_ACTIVATION_VALUES // (widest * weights[0].shape[-1]))
    blocks = []
    for start in range(0, len(features), block_size):
        rows = slice(start, start + block_size)
        output = forward_pass(_program_spec(config), tensors, _tensor(features[rows]))
        blocks.append((np.asarray(keras.ops.convert_to_numpy(output), np.float64), rows))
    return blocks


def _program_spec(config: TrainingConfig) -> ProgramSpec:
    return ProgramSpec(
        config.activation, OUTPUT_ACTIVATION, config.loss, config.optimizer, 0, False
    )


def _tensor(array: np.ndarray) -> keras.KerasTensor:
    return keras.ops.convert_to_tensor(array[None].astype(keras.config.floatx()))
