"""The training loop of one program of an ensemble, with early stopping.

A program trains a grid of members, G groups with m members each, from their initial weights to
their last epoch. The members of a group share their rows and batches. Each epoch is one call of a
compiled function (:mod:`model.training.ensemble.train_step`). After it, :class:`EarlyStopping`
evaluates the held-out rows, keeps each member's best weights, and stops members whose validation
loss has not improved for as many epochs as their patience allows.
"""

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

Tensor = Any


class Program:
    """A grid of members that are trained together, and their data.

    Args:
        tables: (n_tables, n, n_features), the feature tables.
        targets: (n_tables, n, n_outputs), their labels.
        members: all members of the ensemble.
        member_indices: (G, m), the members of this program by group, as indices into ``members``;
            -1 for padding.
        head: the output layer.
    """

    def __init__(
        self,
        tables: np.ndarray,
        targets: np.ndarray,
        members: Sequence[MemberSpec],
        member_indices: np.ndarray,
        head: Head,
    ) -> None:
        self.member_indices, self.dtype = member_indices, tables.dtype.name
        grid = _fill_padding(members, member_indices)
        leaders = [group[0] for group in grid]  # a group's members share rows and table
        n_rows, n_features = tables.shape[1:]
        self.configs = [[member.config for member in group] for group in grid]
        self.tables = np.array([leader.table for leader in leaders])
        # The rows of all groups are stacked: row i of group g is row g * n_rows + i.
        offsets = n_rows * np.arange(len(leaders))
        self.training_rows = [
            (np.arange(n_rows) if leader.rows is None else np.asarray(leader.rows)) + offset
            for leader, offset in zip(leaders, offsets, strict=True)
        ]
        self.validation_rows = [
            leader.validation_rows + offset
            for leader, offset in zip(leaders, offsets, strict=True)
            if leader.validation_rows is not None
        ]
        self.epochs = self._per_member(lambda config: config.epochs)
        self.n_epochs = int(self.epochs.max())
        self.spec, self.n_steps = self._make_spec(head)
        self.initial_weights = stack_weights(self.configs, n_features, head.units, self.dtype)
        has_row_weights = leaders[0].weights is not None
        self.training_data = _to_tensors(
            TrainingData(
                features=tables[self.tables].reshape(-1, n_features),
                labels=targets[self.tables].reshape(-1, targets.shape[2]),
                row_weights=(_stack_row_weights(grid, self.dtype),) if has_row_weights else (),
                units=stack_units(self.configs, self.dtype),
            )
        )

    def _make_spec(self, head: Head) -> tuple[ProgramSpec, int]:
        """Return the static settings, and the number of steps per epoch of the largest group."""
        first = self.configs[0][0]  # all members share these settings
        n_rows = [len(rows) for rows in self.training_rows]
        largest = max(n_rows)
        batch_size = largest if first.batch_size == "all" else min(first.batch_size, largest)
        n_steps = [-(-n // batch_size) for n in n_rows]
        any_patience = self._per_member(lambda config: config.patience).any()
        uneven = bool(any_patience) or len(set(n_steps)) > 1 or len(np.unique(self.epochs)) > 1
        spec = ProgramSpec(
            activation=first.activation,
            output=head.activation,
            loss=first.loss,
            optimizer=first.optimizer,
            batch_size=batch_size,
            uneven=uneven,
        )
        return spec, max(n_steps)

    def run(self, progress_bar: tqdm[Any]) -> ProgramResult:
        """Train all members to their last epoch, or until early stopping has stopped all.

        Args:
            progress_bar: advanced by ``n_epochs`` in total.
        """
        run_epoch = compile_epoch(self.spec)
        early_stopping = (
            EarlyStopping(self.spec, self.training_data, self.validation_rows, self.configs)
            if self.validation_rows
            else None
        )
        state, hyperparameters_of = self._initial_state(), self._hyperparameters()
        batch_size = self.spec.batch_size
        shuffle_seeds = [group[0].shuffle_seed for group in self.configs]
        row_orders = epoch_row_orders(self.training_rows, shuffle_seeds, self.n_steps, batch_size)
        dropout_masks = epoch_dropout_masks(self.configs, self.n_steps, batch_size, self.dtype)
        running, losses = np.ones(self.member_indices.shape, bool), []
        for epoch in range(self.n_epochs):
            running = running & (epoch < self.epochs)
            if not running.any():
                break
            hyperparameters = hyperparameters_of(epoch, running)
            batches = EpochBatches(next(row_orders), next(dropout_masks))
            state, loss = run_epoch(state, self.training_data, batches, hyperparameters)
            losses.append(np.where(running, ops.convert_to_numpy(loss), np.nan))
            if early_stopping:
                running = early_stopping.update(state.weights, hyperparameters, running)
            progress_bar.update()
        progress_bar.update(self.n_epochs - len(losses))
        weights: Sequence[Tensor] = state.weights
        best_epochs, validation_losses = self.epochs, np.full_like(losses, np.nan)
        if early_stopping:
            weights = early_stopping.select_best_weights(state.weights)
            best_epochs = early_stopping.best_epochs(self.epochs)
            validation_losses = np.array(early_stopping.losses)
        return ProgramResult(
            spec=self.spec,
            member_indices=self.member_indices,
            tables=self.tables,
            weights=[ops.convert_to_numpy(weight) for weight in weights],
            units=[ops.convert_to_numpy(units) for units in self.training_data.units],
            losses=np.array(losses),
            validation_losses=validation_losses,
            best_epochs=best_epochs,
        )

    def _initial_state(self) -> TrainState:
        slots = tuple(initial_slots(self.spec.optimizer, weight) for weight in self.initial_weights)
        step = np.zeros(self.member_indices.shape, self.dtype)
        return _to_tensors(TrainState(step, self.initial_weights, slots))

    def _hyperparameters(self) -> Callable[[int, np.ndarray], Hyperparameters]:
        """Return a function from an epoch and its running members to the hyperparameters."""
        rates = np.zeros((self.n_epochs, *self.member_indices.shape), self.dtype)
        for group, member in np.ndindex(self.member_indices.shape):
            member_rates = learning_rates(self.configs[group][member])
            rates[: len(member_rates), group, member] = member_rates
        constant = {
            name: self._per_member(operator.attrgetter(name)).astype(self.dtype)
            for name in ("momentum", "l2", "positive_class_weight", "focal_gamma")
        }
        n_rows = np.array([len(rows) for rows in self.training_rows], np.int32)
        return lambda epoch, running: Hyperparameters(
            n_rows=n_rows,
            running=running.astype(self.dtype),
            learning_rate=rates[epoch],
            **constant,
        )

    def _per_member(self, setting: Callable[[TrainingConfig], float]) -> np.ndarray:
        """Return a setting of every member: (G, m)."""
        return np.array([[setting(config) for config in group] for group in self.configs])


def _fill_padding(
    members: Sequence[MemberSpec], member_indices: np.ndarray
) -> list[list[MemberSpec]]:
    """Return the grid of members. Padding trains a copy of a member, whose result is not used."""
    first_of_group = member_indices[:, :1]
    substitutes = np.where(first_of_group < 0, member_indices[0, 0], first_of_group)
    filled = np.where(member_indices < 0, substitutes, member_indices)
    return [[members[index] for index in group] for group in filled]


def _stack_row_weights(grid: Sequence[Sequence[MemberSpec]], dtype: str) -> np.ndarray:
    """Return the row weights of all members, the groups' rows stacked: (G * n, m)."""
    weights = np.array([[member.weights for member in group] for group in grid], dtype)
    return weights.transpose(0, 2, 1).reshape(-1, weights.shape[1])


def _to_tensors(arrays: Any) -> Any:
    return keras.tree.map_structure(ops.convert_to_tensor, arrays)


class EarlyStopping:
    """Early stopping per member, with the validation losses and each member's best weights.

    Args:
        spec: the static settings of the program.
        training_data: features and labels of all rows, the held-out ones included.
        validation_rows: held-out rows of each group, as indices into the stacked rows.
        configs: the members' configs; a patience of 0 never stops a member.
    """

    def __init__(
        self,
        spec: ProgramSpec,
        training_data: TrainingData,
        validation_rows: Sequence[np.ndarray],
        configs: ConfigGrid,
    ) -> None:
        self.training_data, self.validation_loss = training_data, compile_validation_loss(spec)
        self.validation_rows = stack_rows(validation_rows)
        self.n_validation_rows = np.array([len(rows) for rows in validation_rows], np.int32)
        self.patience = np.array([[config.patience for config in group] for group in configs])
        self.losses: list[np.ndarray] = []
        self.lowest_loss = np.full(self.patience.shape, np.inf)
        self.epochs_without_improvement = np.zeros(self.patience.shape, int)
        self.best_epoch = np.zeros(self.patience.shape, int)
        self.best_weights: list[Tensor] = []

    def update(
        self, weights: Sequence[Tensor], hyperparameters: Hyperparameters, running: np.ndarray
    ) -> np.ndarray:
        """Evaluate the held-out rows after an epoch, and keep the weights of improved members.

        Args:
            weights: the weights after the epoch.
            hyperparameters: the hyperparameters of the epoch.
            running: (G, m), the members that trained in the epoch.

        Returns:
            bool (G, m), the members that continue.
        """
        loss = ops.convert_to_numpy(
            self.validation_loss(
                weights,
                self.training_data,
                self.validation_rows,
                self.n_validation_rows,
                hyperparameters,
            )
        )
        self.losses.append(np.where(running, loss, np.nan))
        if not self.patience.any():
            return running
        improved = running & (loss < self.lowest_loss)
        self.lowest_loss[improved], self.best_epoch[improved] = loss[improved], len(self.losses)
        self.epochs_without_improvement = np.where(improved, 0, self.epochs_without_improvement + 1)
        self.best_weights = (
            _select_members(improved, weights, self.best_weights)
            if self.best_weights
            else list(weights)
        )
        exhausted = (self.patience > 0) & (self.epochs_without_improvement >= self.patience)
        return running & ~exhausted

    def select_best_weights(self, last_weights: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the best weights of members with patience, and the last ones of all others."""
        if not self.best_weights:
            return last_weights
        return _select_members(self.patience == 0, last_weights, self.best_weights)

    def best_epochs(self, epochs: np.ndarray) -> np.ndarray:
        """Return the number of epochs after which the members had the selected weights: (G, m).

        Args:
            epochs: (G, m), the epochs of each member's config.
        """
        return np.where(self.patience > 0, self.best_epoch, epochs)


def _select_members(
    mask: np.ndarray, weights: Sequence[Tensor], other_weights: Sequence[Tensor]
) -> list[Tensor]:
    """Return ``weights`` for the members in the mask (G, m), and ``other_weights`` elsewhere."""
    groups, members = mask.shape
    return [
        ops.where(mask.reshape(groups, *[1] * (len(weight.shape) - 2), members), weight, other)
        for weight, other in zip(weights, other_weights, strict=True)
    ]
