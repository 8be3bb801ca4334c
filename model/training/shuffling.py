"""Random streams of a training run: the order of the rows in each epoch, and dropout.

NumPy draws both from a seed. Keras's own shuffling differs between backends; drawn here, a seed
gives the same batches on every backend, for a single network and for each member of an ensemble.
"""

from __future__ import annotations

import numpy as np

MAX_ROWS_FOR_32_BITS = 4096
"""Up to this number of rows, a 32-bit key holds a row index and 20 random bits."""


# Larger than any layer index: draw_kernel seeds its generators with [seed, layer].
_SHUFFLE_STREAM, _DROPOUT_STREAM = 1 << 20, 1 << 21


class EpochShuffler:
    """The order of n rows in each epoch of one training run.

    Every epoch holds every row once. The stream continues from call to call: one call for ten
    epochs returns the same orders as ten calls for one epoch.

    >>> EpochShuffler(4, seed=0).next(2).shape
    (2, 4)
    """

    def __init__(self, n_rows: int, *, seed: int) -> None:
        self._n_rows = n_rows
        self._rng = np.random.default_rng([seed, _SHUFFLE_STREAM])
        # Sorting random keys whose low bits are the row index is the fastest shuffle of many rows.
        self._key_type = np.uint32 if n_rows <= MAX_ROWS_FOR_32_BITS else np.uint64
        self._row_bits = self._key_type((1 << (n_rows - 1).bit_length()) - 1)

    def next(self, n_epochs: int = 1) -> np.ndarray:
        """Return the orders of the next epochs.

        Returns:
            int32 (n_epochs, n_rows), one permutation of the row indices per epoch.
        """
        shape, key_type = (n_epochs, self._n_rows), self._key_type
        keys = self._rng.integers(0, np.iinfo(key_type).max, shape, key_type, endpoint=True)
        keys &= ~self._row_bits
        keys |= np.arange(self._n_rows, dtype=key_type)
        keys.sort(axis=1)
        return (keys & self._row_bits).astype(np.int32)


def dropout_generator(seed: int) -> np.random.Generator:
    """Return the random stream of the dropout masks of one training run."""
    return np.random.default_rng([seed, _DROPOUT_STREAM])
