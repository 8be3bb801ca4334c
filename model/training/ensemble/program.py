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
from model.training.ensemble.forward import ProgramSpec
from model.training.ensemble.members import MemberSpec, ProgramResult
from model.training.ensemble.optimizers import initial_slots
from model.training.ensemble.packing import (
    ConfigGrid,
    epoch_dropout_masks,
    epoch_row_orders,
    stack_rows,
    stack_units,
    stack_weights,
)
from model.training.ensemble.train_step import (
    EpochBatches,
    Hyperparameters,
    TrainingData,
    TrainState,
    compile_epoch,
    compile_validation_loss,
)
from model.training.keras_network import Head


class Program:
    """Members of one spec in their grid, and what they are trained on."""

    def __init__(
        self, tables: np.ndarray, targets: np.ndarray, members: Sequence[MemberSpec],
        member_indices: np.ndarray, head: Head,
    ) -> None:  # fmt: skip
        # Whoever fills the grid up is somebody's double, and thrown away at the end.
        doubles = np.where(member_indices[:, :1] < 0, member_indices[0, 0], member_indices[:, :1])
        chosen = [
            [members[p] for p in group]
            for group in np.where(member_indices < 0, doubles, member_indices)
        ]
        firsts = [group[0] for group in chosen]
        n_rows, everyone = tables.shape[1], np.arange(tables.shape[1])
        self.member_indices, self.dtype = member_indices, tables.dtype.name
        self.configs = [[member.config for member in group] for group in chosen]
        self.tables = np.array([member.table for member in firsts])
        # The groups' rows lie one group after the other.
        offsets = n_rows * np.arange(len(firsts))
        self.rows = [
            (everyone if first.rows is None else np.asarray(first.rows)) + offset
            for first, offset in zip(firsts, offsets, strict=True)
        ]
        self.validation_rows = [
            first.validation_rows + offset
            for first, offset in zip(firsts, offsets, strict=True)
            if first.validation_rows is not None
        ]
        self.n_epochs = int(self._per_member(lambda config: config.epochs).max())
        self.spec, self.n_steps = self._make_spec(head)
        self.weights = stack_weights(self.configs, tables.shape[2], head.units, self.dtype)
        self.data = _to_tensors(
            TrainingData(
                features=tables[self.tables].reshape(-1, tables.shape[2]),
                labels=targets[self.tables].reshape(-1, targets.shape[2]),
                weights=()
                if firsts[0].weights is None
                else (_row_weights(chosen, n_rows, self.dtype),),
                units=stack_units(self.configs, self.dtype),
            )
        )

    def _make_spec(self, head: Head) -> tuple[ProgramSpec, int]:
        first, n_rows = self.configs[0][0], [len(rows) for rows in self.rows]
        size = max(n_rows) if first.batch_size == "all" else min(first.batch_size, max(n_rows))
        n_steps = [-(-n // size) for n in n_rows]
        stops = self._per_member(lambda config: config.patience).any()
        lasts = np.unique(self._per_member(lambda config: config.epochs))
        uneven = bool(stops) or len(set(n_steps)) > 1 or len(lasts) > 1
        spec = ProgramSpec(
            first.activation, head.activation, first.loss, first.optimizer, size, uneven
        )
        return spec, max(n_steps)

    def run(self, bar: tqdm[Any]) -> ProgramResult:
        """Train them all, to their last epoch or until none is running."""
        epoch, early_stopping = (
            compile_epoch(self.spec),
            EarlyStopping(self.spec, self.data, self.validation_rows, self.configs)
            if self.validation_rows
            else None,
        )
        state, settings = self._initial_state(), self._hyperparameters()
        seeds = [group[0].shuffle_seed for group in self.configs]
        rows = epoch_row_orders(self.rows, seeds, self.n_steps, self.spec.batch_size)
        dropout_masks = epoch_dropout_masks(
            self.configs, self.n_steps, self.spec.batch_size, self.dtype
        )
        last = self._per_member(lambda config: config.epochs)
        running, losses = np.ones(self.member_indices.shape, bool), []
        for number in range(self.n_epochs):
            running = running & (number < last)
            if not running.any():
                break
            now = settings(number, running)
            state, loss = epoch(
                state, self.data, EpochBatches(next(rows), next(dropout_masks)), now
            )
            losses.append(np.where(running, ops.convert_to_numpy(loss), np.nan))
            if early_stopping:
                running = early_stopping.update(state.weights, now, running)
            bar.update()
        bar.update(self.n_epochs - len(losses))
        weights = (
            early_stopping.select_best_weights(state.weights) if early_stopping else state.weights
        )
        return ProgramResult(
            spec=self.spec,
            member_indices=self.member_indices,
            tables=self.tables,
            weights=[ops.convert_to_numpy(weight) for weight in weights],
            units=[ops.convert_to_numpy(units) for units in self.data.units],
            losses=np.array(losses),
            validation_losses=np.array(
                early_stopping.losses if early_stopping else np.full_like(losses, np.nan)
            ),
            best_epochs=early_stopping.best_epochs(last) if early_stopping else last,
        )

    def _initial_state(self) -> TrainState:
        slots = tuple(initial_slots(self.spec.optimizer, weight) for weight in self.weights)
        return _to_tensors(
            TrainState(np.zeros(self.member_indices.shape, self.dtype), self.weights, slots)
        )

    def _hyperparameters(self) -> Callable[[int, np.ndarray], Hyperparameters]:
        """What gives the settings of an epoch to the members that are running."""
        rates = [[learning_rates(config) for config in group] for group in self.configs]
        longest = self._pad_epochs(rates)
        constant = {
            name: self._per_member(operator.attrgetter(name)).astype(self.dtype)
            for name in ("momentum", "l2", "positive_class_weight", "focal_gamma")
        }
        n_rows = np.array([len(rows) for rows in self.rows], np.int32)
        return lambda epoch, running: Hyperparameters(
            n_rows=n_rows,
            running=running.astype(self.dtype),
            learning_rate=longest[epoch],
            **constant,
        )

    def _pad_epochs(self, rates: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        whole = np.zeros((self.n_epochs, *self.member_indices.shape), self.dtype)
        for group, place in np.ndindex(self.member_indices.shape):
            own = rates[group][place]
            whole[: len(own), group, place] = own
        return whole

    def _per_member(self, read: Callable[[TrainingConfig], float]) -> np.ndarray:
        return np.array([[read(config) for config in group] for group in self.configs])


def _row_weights(members: Sequence[Sequence[MemberSpec]], n_rows: int, dtype: str) -> np.ndarray:
    """(G * n_rows, m)"""
    stacked = np.array([[member.weights for member in group] for group in members], dtype)
    return stacked.transpose(0, 2, 1).reshape(len(members) * n_rows, -1)


def _to_tensors(arrays: Any) -> Any:
    return keras.tree.map_structure(ops.convert_to_tensor, arrays)


Tensor = Any


class EarlyStopping:
    """Looks at held-out rows after every epoch, stops members, and keeps their best weights."""

    def __init__(
        self,
        spec: ProgramSpec,
        data: TrainingData,
        validation_rows: Sequence[np.ndarray],
        configs: ConfigGrid,
    ) -> None:
        self.data, self.validation_loss = data, compile_validation_loss(spec)
        self.rows = stack_rows(validation_rows)
        self.n_validation_rows = np.array([len(rows) for rows in validation_rows], np.int32)
        self.patience = np.array([[config.patience for config in group] for group in configs])
        self.losses: list[np.ndarray] = []
        self.lowest_loss = np.full(self.patience.shape, np.inf)
        self.epochs_without_improvement, self.epoch = np.zeros((2, *self.patience.shape), int)
        self.dropout_masks: list[Tensor] = []

    def update(
        self, weights: Sequence[Tensor], settings: Hyperparameters, running: np.ndarray
    ) -> np.ndarray:
        """Which members go on."""
        found = self.validation_loss(
            weights, self.data, self.rows, self.n_validation_rows, settings
        )
        loss = ops.convert_to_numpy(found)
        self.losses.append(np.where(running, loss, np.nan))
        if not self.patience.any():
            return running
        better = running & (loss < self.lowest_loss)
        self.lowest_loss[better], self.epoch[better] = loss[better], len(self.losses)
        self.epochs_without_improvement = np.where(better, 0, self.epochs_without_improvement + 1)
        self.dropout_masks = (
            _where_member(better, weights, self.dropout_masks)
            if self.dropout_masks
            else list(weights)
        )
        return running & ~((self.patience > 0) & (self.epochs_without_improvement >= self.patience))

    def select_best_weights(self, weights: Sequence[Tensor]) -> Sequence[Tensor]:
        """The best weights of members with patience, the last ones of the others."""
        return (
            _where_member(self.patience == 0, weights, self.dropout_masks)
            if self.dropout_masks
            else weights
        )

    def best_epochs(self, last: np.ndarray) -> np.ndarray:
        """(G, m): the number of epochs after which they were so."""
        return np.where(self.patience > 0, self.epoch, last)


def _where_member(
    which: np.ndarray, some: Sequence[Tensor], others: Sequence[Tensor]
) -> list[Tensor]:
    """Some weights where (G, m) ``which`` says so, other ones elsewhere."""
    return [
        ops.where(
            which.reshape(which.shape[0], *[1] * (len(one.shape) - 2), which.shape[1]), one, other
        )
        for one, other in zip(some, others, strict=True)
    ]
