"""Initial weights, row orders and dropout masks of a program's members, stacked into one array.

A grid has G groups with m members each. The member axis comes last, as
:mod:`model.training.ensemble.train_step` expects.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from model.training.config import TrainingConfig
from model.training.initializers import draw_kernels
from model.training.shuffling import EpochShuffler, dropout_generator

ConfigGrid = Sequence[Sequence[TrainingConfig]]
"""G rows of m configs."""


def stack_weights(
    grid: ConfigGrid, n_features: int, n_outputs: int, dtype: str
) -> tuple[np.ndarray, ...]:
    """Return the initial weights of all members.

    Every layer is as wide as in the widest member. Narrower members are padded with zeros, which
    stay zero: the output of a padding unit is masked, so the gradients of its weights are zero.

    Returns:
        Kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m).
    """
    shape = len(grid), len(grid[0])
    hidden = np.array([[config.hidden for config in group] for group in grid], int)
    widths = [n_features, *hidden.max(axis=(0, 1)).tolist(), n_outputs]
    stacked = [np.zeros((*shape, *pair), dtype) for pair in itertools.pairwise(widths)]
    for group, member in np.ndindex(shape):
        member_kernels = draw_kernels(grid[group][member], n_features, n_outputs)
        for kernels, kernel in zip(stacked, member_kernels, strict=True):
            kernels[group, member, : kernel.shape[0], : kernel.shape[1]] = kernel
    return tuple(
        np.ascontiguousarray(np.moveaxis(array, 1, -1))
        for kernels in stacked
        for array in (kernels, np.zeros((*shape, kernels.shape[3]), dtype))
    )


def stack_units(grid: ConfigGrid, dtype: str) -> tuple[np.ndarray, ...]:
    """Return which units each member has.

    Returns:
        Per hidden layer (G, 1, units, m), 1 for units that a member has and 0 for padding; empty if
        all members have all units.
    """
    hidden = np.array([[config.hidden for config in group] for group in grid], int)
    if (hidden == hidden[0, 0]).all():
        return ()
    return tuple(
        (np.arange(widths.max())[:, None] < widths[:, None, None, :]).astype(dtype)
        for widths in np.moveaxis(hidden, 2, 0)
    )


def stack_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the rows of each group as one array, padded with row 0.

    Args:
        rows: row indices of each group.

    Returns:
        int32 (G, length of the longest).
    """
    stacked = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for group, group_rows in enumerate(rows):
        stacked[group, : len(group_rows)] = group_rows
    return stacked


def epoch_row_orders(
    rows: Sequence[np.ndarray], seeds: Sequence[int], n_steps: int, batch_size: int
) -> Iterator[np.ndarray]:
    """Generate the rows of every step, one array per epoch, padded with row 0.

    Args:
        rows: row indices of each group.
        seeds: shuffle seed of each group.
        n_steps: number of steps per epoch of the largest group.
        batch_size: rows per step.

    Yields:
        int32 (n_steps, G, batch_size).
    """
    shufflers = [
        EpochShuffler(len(group_rows), seed=seed)
        for group_rows, seed in zip(rows, seeds, strict=True)
    ]
    while True:
        shuffled = stack_rows(
            [
                group_rows[shuffler.next()[0]]
                for group_rows, shuffler in zip(rows, shufflers, strict=True)
            ]
        )
        padded = np.zeros((len(rows), n_steps * batch_size), np.int32)
        padded[:, : shuffled.shape[1]] = shuffled
        yield padded.reshape(len(rows), n_steps, batch_size).transpose(1, 0, 2)


def epoch_dropout_masks(
    grid: ConfigGrid, n_steps: int, batch_size: int, dtype: str
) -> Iterator[tuple[np.ndarray, ...]]:
    """Generate the dropout masks of every step, one tuple per epoch.

    A unit is multiplied by 0 with the probability ``dropout`` of its config, and by
    1 / (1 - dropout) otherwise, which keeps the mean.

    Yields:
        Per hidden layer (n_steps, G, batch_size, units, m); empty if no member has dropout.
    """
    shape = n_groups, n_members = len(grid), len(grid[0])
    generators = {
        (group, member): dropout_generator(grid[group][member].seed)
        for group, member in np.ndindex(shape)
    }
    hidden = np.array([[config.hidden for config in group] for group in grid], int)
    widths = hidden.max(axis=(0, 1)).tolist()
    while any(config.dropout for group in grid for config in group):
        masks = [
            np.empty((n_steps, n_groups, batch_size, units, n_members), dtype) for units in widths
        ]
        for (group, member), generator in generators.items():
            dropout = grid[group][member].dropout
            for mask in masks:
                uniform = generator.random((n_steps, batch_size, mask.shape[3]), np.float32)
                mask[:, group, :, :, member] = (uniform >= dropout) / (1 - dropout)
        yield tuple(masks)
    while True:
        yield ()
