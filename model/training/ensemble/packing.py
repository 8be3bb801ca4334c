"""What the members of a program start from and are shown, stacked into its grid.

A grid is G groups with m members each; the member axis comes last, as :mod:`model.training.ensemble.train_step` wants it.
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
    """First weights: kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m).

    As wide as the widest member; where a narrower one has no unit there are zeros, which stay
    zero, because nothing that comes out of such a unit counts.
    """
    shape = len(grid), len(grid[0])
    hidden = np.array([[config.hidden for config in group] for group in grid], int)
    widths = [n_features, *hidden.max(axis=(0, 1)).tolist(), n_outputs]
    kernels = [np.zeros((*shape, *pair), dtype) for pair in itertools.pairwise(widths)]
    for place in np.ndindex(shape):
        drawn_here = draw_kernels(grid[place[0]][place[1]], n_features, n_outputs)
        for kernel, drawn in zip(kernels, drawn_here, strict=True):
            kernel[place][: drawn.shape[0], : drawn.shape[1]] = drawn
    return tuple(
        np.ascontiguousarray(np.moveaxis(array, 1, -1))
        for kernel in kernels
        for array in (kernel, np.zeros((*shape, kernel.shape[3]), dtype))
    )


def stack_units(grid: ConfigGrid, dtype: str) -> tuple[np.ndarray, ...]:
    """By hidden layer (G, 1, units, m) of 0 and 1: which units a member has; empty for all."""
    hidden = np.array([[config.hidden for config in group] for group in grid], int)
    if (hidden == hidden[0, 0]).all():
        return ()
    return tuple(
        (np.arange(widths.max())[:, None] < widths[:, None, None, :]).astype(dtype)
        for widths in np.moveaxis(hidden, 2, 0)
    )


def stack_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """int32 (G, most): each group's rows, filled up with row 0."""
    stacked = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for own, given in zip(stacked, rows, strict=True):
        own[: len(given)] = given
    return stacked


def epoch_row_orders(
    rows: Sequence[np.ndarray], seeds: Sequence[int], n_steps: int, size: int
) -> Iterator[np.ndarray]:
    """Epoch after epoch int32 (n_steps, G, size): the rows of every step, filled up with row 0."""
    streams = [EpochShuffler(len(own), seed=seed) for own, seed in zip(rows, seeds, strict=True)]
    while True:
        shown = stack_rows([own[s.next()[0]] for own, s in zip(rows, streams, strict=True)])
        whole = np.zeros((len(rows), n_steps * size), np.int32)
        whole[:, : shown.shape[1]] = shown
        yield whole.reshape(len(rows), n_steps, size).transpose(1, 0, 2)


def epoch_dropout_masks(
    grid: ConfigGrid, n_steps: int, size: int, dtype: str
) -> Iterator[tuple[np.ndarray, ...]]:
    """Epoch after epoch, by hidden layer (n_steps, G, size, units, m): what units are multiplied by.

    0 with the probability that the config names, otherwise what keeps the mean as it was. Empty
    where no member leaves anything out.
    """
    shape = len(grid), len(grid[0])
    streams = {
        place: dropout_generator(grid[place[0]][place[1]].seed) for place in np.ndindex(shape)
    }
    hidden = np.array([[config.hidden for config in group] for group in grid], int)
    widths = hidden.max(axis=(0, 1)).tolist()
    while any(config.dropout for group in grid for config in group):
        kept = [np.empty((n_steps, shape[0], size, units, shape[1]), dtype) for units in widths]
        for place, stream in streams.items():
            share = grid[place[0]][place[1]].dropout
            for layer in kept:
                drawn = stream.random((n_steps, size, layer.shape[3]), np.float32)
                layer[:, place[0], :, :, place[1]] = (drawn >= share) / (1 - share)
        yield tuple(kept)
    while True:
        yield ()
