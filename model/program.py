"""One program of an ensemble: its members' way from their first weights to their last."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from tqdm import tqdm

from model.config import TrainingConfig, learning_rates
from model.epoch import Fixed, Settings, Shown, State, epoch_program
from model.forward import Plan
from model.members import Member, Part
from model.network import Head
from model.optimizers import first_slots
from model.stacking import dropouts, orders, stack_units, stack_weights
from model.watching import Watcher


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
