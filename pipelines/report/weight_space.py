"""A network at many points of its weights, all in one call."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from model.training import TrainingConfig
from model.training.ensemble import ProgramSpec, forward_pass, l2_penalty, record_losses

MAX_ACTIVATION_VALUES = 20_000_000
OUTPUT_ACTIVATION = "sigmoid"


def stack_networks(weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Kernel, bias, … of one network as those of many: a last axis of one."""
    return [weight[..., None] for weight in weights]


def log_odds(
    config: TrainingConfig, weights: Sequence[np.ndarray], features: np.ndarray
) -> np.ndarray:
    """float64 (n, m): what networks of the same make give before the last activation.

    Args:
        weights: kernel, bias, kernel, bias, …: (inputs, units, m) and (units, m).
        features: (n, n_features)
    """
    return np.concatenate([out[0, :, 0] for out, _ in _outputs(config, weights, features)])


def training_loss(
    config: TrainingConfig, weights: Sequence[np.ndarray], features: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """float64 (m,): what training minimises, penalty and the cost of a missed positive included.

    Args:
        weights, features: as of :func:`log_odds`.
        labels: (n,) of 0 and 1.
    """
    gamma = np.full((1, weights[0].shape[-1]), config.focal_gamma, keras.config.floatx())
    costs = np.where(labels == 1, config.positive_class_weight, 1.0)
    total = np.zeros(weights[0].shape[-1])
    for out, rows in _outputs(config, weights, features):
        targets = labels[rows].astype(keras.config.floatx())[None, :, None]
        found = record_losses(_program_spec(config), out, targets, gamma)
        total += costs[rows] @ np.asarray(keras.ops.convert_to_numpy(found[0]), np.float64)
    l2 = np.full_like(gamma, config.l2)
    added = l2_penalty([_tensor(weight) for weight in weights], l2)
    return total / len(features) + keras.ops.convert_to_numpy(added)[0]


def _outputs(
    config: TrainingConfig, weights: Sequence[np.ndarray], features: np.ndarray
) -> list[tuple[np.ndarray, slice]]:
    """Parts of the records in turn: (1, b, 1, m) and which they are."""
    tensors = [_tensor(weight) for weight in weights]
    widest = max(kernel.shape[1] for kernel in weights[::2])
    size = max(1, MAX_ACTIVATION_VALUES // (widest * weights[0].shape[-1]))
    found = []
    for start in range(0, len(features), size):
        rows = slice(start, start + size)
        out = forward_pass(_program_spec(config), tensors, _tensor(features[rows]))
        found.append((np.asarray(keras.ops.convert_to_numpy(out), np.float64), rows))
    return found


def _program_spec(config: TrainingConfig) -> ProgramSpec:
    return ProgramSpec(
        config.activation, OUTPUT_ACTIVATION, config.loss, config.optimizer, 0, False
    )


def _tensor(array: np.ndarray) -> keras.KerasTensor:
    return keras.ops.convert_to_tensor(array[None].astype(keras.config.floatx()))
