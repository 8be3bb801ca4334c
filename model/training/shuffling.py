"""Random streams of a training: the order of the rows in each epoch, and dropout."""

from __future__ import annotations

import numpy as np

MAX_ROWS_FOR_32_BITS = 4096
"""Rows up to which 32 bits hold a row's number and twenty random bits before it."""


# Keep these streams apart from those of the kernels, which are numbered.
_SHUFFLE_STREAM, _DROPOUT_STREAM = 1 << 20, 1 << 21


class EpochShuffler:
    """The order of n rows in each epoch of one training.

    Every row comes once an epoch. The stream goes on from call to call, so that one call for ten
    epochs gives what ten calls for one epoch give.

    >>> EpochShuffler(4, seed=0).next(2).shape
    (2, 4)
    """

    def __init__(self, n_rows: int, *, seed: int) -> None:
        self._n_rows = n_rows
        self._draw = np.random.default_rng([seed, _SHUFFLE_STREAM])
        # Random numbers whose last bits are a row's own, sorted: the fastest shuffle of many rows.
        self._key = np.uint32 if n_rows <= MAX_ROWS_FOR_32_BITS else np.uint64
        self._bits = self._key((1 << (n_rows - 1).bit_length()) - 1)

    def next(self, n_epochs: int = 1) -> np.ndarray:
        """int32 (n_epochs, n_rows), each row of it a permutation."""
        shape = (n_epochs, self._n_rows)
        keys = self._draw.integers(0, np.iinfo(self._key).max, shape, self._key, endpoint=True)
        keys &= ~self._bits
        keys |= np.arange(self._n_rows, dtype=self._key)
        keys.sort(axis=1)
        return (keys & self._bits).astype(np.int32)


def dropout_generator(seed: int) -> np.random.Generator:
    """The stream from which the dropout of one training is drawn."""
    return np.random.default_rng([seed, _DROPOUT_STREAM])
