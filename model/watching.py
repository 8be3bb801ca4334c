"""Early stopping of many networks at once, as Keras's callback does it for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from model.epoch import Fixed, Settings, watch_program
from model.forward import Plan
from model.stacking import Grid, stack_rows

Tensor = Any


class Watcher:
    """Looks at held-out rows after every epoch, stops members, and keeps their best weights."""

    def __init__(self, plan: Plan, fixed: Fixed, held: Sequence[np.ndarray], configs: Grid) -> None:
        self.fixed, self.watch = fixed, watch_program(plan)
        self.rows = stack_rows(held)
        self.n_held = np.array([len(rows) for rows in held], np.int32)
        self.patience = np.array([[config.patience for config in group] for group in configs])
        self.losses: list[np.ndarray] = []
        self.lowest = np.full(self.patience.shape, np.inf)
        self.since, self.epoch = np.zeros((2, *self.patience.shape), int)
        self.kept: list[Tensor] = []

    def look(
        self, weights: Sequence[Tensor], settings: Settings, running: np.ndarray
    ) -> np.ndarray:
        """Which members go on."""
        found = self.watch(weights, self.fixed, self.rows, self.n_held, settings)
        loss = ops.convert_to_numpy(found)
        self.losses.append(np.where(running, loss, np.nan))
        if not self.patience.any():
            return running
        better = running & (loss < self.lowest)
        self.lowest[better], self.epoch[better] = loss[better], len(self.losses)
        self.since = np.where(better, 0, self.since + 1)
        self.kept = _mixed(better, weights, self.kept) if self.kept else list(weights)
        return running & ~((self.patience > 0) & (self.since >= self.patience))

    def best_of(self, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        """The best weights of members with patience, the last ones of the others."""
        return _mixed(self.patience == 0, weights, self.kept) if self.kept else weights

    def best_epoch(self, last: np.ndarray) -> np.ndarray:
        """(G, m): the number of epochs after which they were so."""
        return np.where(self.patience > 0, self.epoch, last)


def _mixed(which: np.ndarray, some: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Some weights where (G, m) ``which`` says so, other ones elsewhere."""
    return [
        ops.where(
            which.reshape(which.shape[0], *[1] * (len(one.shape) - 2), which.shape[1]), one, other
        )
        for one, other in zip(some, others, strict=True)
    ]
