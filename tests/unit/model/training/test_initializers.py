from __future__ import annotations

import numpy as np
import pytest

from model.training import TrainingConfig, draw_kernel, draw_kernels
from model.training.shuffling import EpochShuffler


@pytest.mark.parametrize(
    ("kind", "deviation"),
    [
        ("glorot", np.sqrt(2 / (200 + 100))),
        ("he", np.sqrt(2 / 200)),
        ("normal", 0.05),
        ("small", 0.1 * np.sqrt(2 / (200 + 100))),
        ("zeros", 0.0),
    ],
)
def test_the_standard_deviation_of_initial_weights(kind: str, deviation: float) -> None:
    kernel = draw_kernel(kind, (200, 100), seed=1, layer=0)  # type: ignore[arg-type]
    assert kernel.shape == (200, 100)
    assert kernel.std() == pytest.approx(deviation, rel=0.02)
    assert abs(kernel.mean()) <= 4 * deviation / np.sqrt(kernel.size)


def test_only_the_first_layer_has_small_weights() -> None:
    first, second = draw_kernels(TrainingConfig(hidden=(50,)), 40)
    assert np.abs(first).max() < 0.1 * np.sqrt(6 / 90) < np.abs(second).max()


def test_layers_and_seeds_are_independent() -> None:
    kernels = [
        draw_kernel("glorot", (4, 3), seed=seed, layer=layer)
        for seed, layer in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    assert len({*(kernel[0, 0] for kernel in kernels)}) == 4
    np.testing.assert_array_equal(kernels[0], draw_kernel("glorot", (4, 3), seed=0, layer=0))


@pytest.mark.parametrize("n_rows", [1, 2, 303, 4096, 5000])
def test_every_epoch_holds_every_row_once(n_rows: int) -> None:
    orders = EpochShuffler(n_rows, seed=3).next(3)
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(n_rows), (3, 1)))
    if n_rows > 2:
        assert (orders[0] != orders[1]).any()
    shuffler = EpochShuffler(n_rows, seed=3)
    np.testing.assert_array_equal(orders, np.concatenate([shuffler.next(), shuffler.next(2)]))


def test_every_row_is_equally_frequent_at_every_position() -> None:
    orders = EpochShuffler(5, seed=0).next(20_000)
    counts = np.array([np.bincount(rows, minlength=5) for rows in orders.T])
    assert np.abs(counts - 4_000).max() < 5 * np.sqrt(20_000 * 0.2 * 0.8)
