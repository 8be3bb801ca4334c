"""One program of an ensemble: its members' way from their first weights to their last."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from model.training.config import TrainingConfig, learning_rates
from model.training.ensemble.forward import Plan
from model.training.ensemble.members import Member, Part
from model.training.ensemble.optimizers import first_slots
from model.training.ensemble.packing import (
    Grid,
    dropouts,
    orders,
    stack_rows,
    stack_units,
    stack_weights,
)
from model.training.ensemble.train_step import (
    Fixed,
    Settings,
    Shown,
    State,
    epoch_program,
    watch_program,
)
from model.training.keras_network import Head


class Program:
    """Members of one plan in their grid, and what they are trained on."""

    def __init__(
        self, tables: np.ndarray, targets: np.ndarray, members: Sequence[Member],
        places: np.ndarray, head: Head,
    ) -> None:  # fmt: skip
        # Whoever fills the grid up is somebody's double, and thrown away at the end.
        doubles = np.where(places[:, :1] < 0, places[0, 0], places[:, :1])
        chosen = [[members[p] for p in group] for group in np.where(places < 0, doubles, places)]
        firsts = [group[0] for group in chosen]
        n_rows, everyone = tables.shape[1], np.arange(tables.shape[1])
        self.places, self.dtype = places, tables.dtype.name
        self.configs = [[member.config for member in group] for group in chosen]
        self.tables = np.array([member.table for member in firsts])
        # The groups' rows lie one group after the other.
        offsets = n_rows * np.arange(len(firsts))
        self.rows = [
            (everyone if first.rows is None else np.asarray(first.rows)) + offset
            for first, offset in zip(firsts, offsets, strict=True)
        ]
        self.held = [
            first.held + offset
            for first, offset in zip(firsts, offsets, strict=True)
            if first.held is not None
        ]
        self.n_epochs = int(self._of_each(lambda config: config.epochs).max())
        self.plan, self.n_steps = self._make_plan(head)
        self.weights = stack_weights(self.configs, tables.shape[2], head.units, self.dtype)
        self.fixed = _tensors(
            Fixed(
                features=tables[self.tables].reshape(-1, tables.shape[2]),
                labels=targets[self.tables].reshape(-1, targets.shape[2]),
                weights=()
                if firsts[0].weights is None
                else (_row_weights(chosen, n_rows, self.dtype),),
                units=stack_units(self.configs, self.dtype),
            )
        )

    def _make_plan(self, head: Head) -> tuple[Plan, int]:
        first, n_rows = self.configs[0][0], [len(rows) for rows in self.rows]
        size = max(n_rows) if first.batch_size == "all" else min(first.batch_size, max(n_rows))
        n_steps = [-(-n // size) for n in n_rows]
        stops = self._of_each(lambda config: config.patience).any()
        lasts = np.unique(self._of_each(lambda config: config.epochs))
        uneven = bool(stops) or len(set(n_steps)) > 1 or len(lasts) > 1
        plan = Plan(first.activation, head.activation, first.loss, first.optimizer, size, uneven)
        return plan, max(n_steps)

    def run(self, bar: tqdm[Any]) -> Part:
        """Train them all, to their last epoch or until none is running."""
        epoch, watcher = (
            epoch_program(self.plan),
            Watcher(self.plan, self.fixed, self.held, self.configs) if self.held else None,
        )
        state, settings = self._first_state(), self._settings()
        seeds = [group[0].order_seed for group in self.configs]
        rows = orders(self.rows, seeds, self.n_steps, self.plan.batch_size)
        kept = dropouts(self.configs, self.n_steps, self.plan.batch_size, self.dtype)
        last = self._of_each(lambda config: config.epochs)
        running, losses = np.ones(self.places.shape, bool), []
        for number in range(self.n_epochs):
            running = running & (number < last)
            if not running.any():
                break
            now = settings(number, running)
            state, loss = epoch(state, self.fixed, Shown(next(rows), next(kept)), now)
            losses.append(np.where(running, ops.convert_to_numpy(loss), np.nan))
            if watcher:
                running = watcher.look(state.weights, now, running)
            bar.update()
        bar.update(self.n_epochs - len(losses))
        weights = watcher.best_of(state.weights) if watcher else state.weights
        return Part(
            plan=self.plan,
            places=self.places,
            tables=self.tables,
            weights=[ops.convert_to_numpy(weight) for weight in weights],
            units=[ops.convert_to_numpy(units) for units in self.fixed.units],
            losses=np.array(losses),
            held_losses=np.array(watcher.losses if watcher else np.full_like(losses, np.nan)),
            best=watcher.best_epoch(last) if watcher else last,
        )

    def _first_state(self) -> State:
        slots = tuple(first_slots(self.plan.optimizer, weight) for weight in self.weights)
        return _tensors(State(np.zeros(self.places.shape, self.dtype), self.weights, slots))

    def _settings(self) -> Callable[[int, np.ndarray], Settings]:
        """What gives the settings of an epoch to the members that are running."""
        rates = [[learning_rates(config) for config in group] for group in self.configs]
        longest = self._padded(rates)
        constant = {
            name: self._of_each(operator.attrgetter(name)).astype(self.dtype)
            for name in ("momentum", "l2", "missed_cost", "focal_gamma")
        }
        n_rows = np.array([len(rows) for rows in self.rows], np.int32)
        return lambda epoch, running: Settings(
            n_rows=n_rows, running=running.astype(self.dtype), rate=longest[epoch], **constant
        )

    def _padded(self, rates: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        whole = np.zeros((self.n_epochs, *self.places.shape), self.dtype)
        for group, place in np.ndindex(self.places.shape):
            own = rates[group][place]
            whole[: len(own), group, place] = own
        return whole

    def _of_each(self, read: Callable[[TrainingConfig], float]) -> np.ndarray:
        return np.array([[read(config) for config in group] for group in self.configs])


def _row_weights(members: Sequence[Sequence[Member]], n_rows: int, dtype: str) -> np.ndarray:
    """(G * n_rows, m)"""
    stacked = np.array([[member.weights for member in group] for group in members], dtype)
    return stacked.transpose(0, 2, 1).reshape(len(members) * n_rows, -1)


def _tensors(arrays: Any) -> Any:
    return keras.tree.map_structure(ops.convert_to_tensor, arrays)


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
