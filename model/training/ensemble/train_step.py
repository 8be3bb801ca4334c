"""An epoch of all members of a program as one compiled function, and the validation loss.

A member's loss depends only on its own weights. The gradient of the sum of all losses therefore
contains the gradient of each member's loss.

Shapes use the letters of :mod:`model.training.ensemble.forward`, and S for the steps of an epoch, R
for the rows of all groups together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from model.training.ensemble.autodiff import compile_function, gradients
from model.training.ensemble.forward import ProgramSpec, forward_pass, l2_penalty, record_losses
from model.training.ensemble.optimizers import UPDATE_RULES, Slots

Tensor = Any


class Hyperparameters(NamedTuple):
    """The hyperparameters of each member in one epoch: (G, m), except ``n_rows``.

    Attributes:
        n_rows: (G,), training rows of each group.
        running: 1 while a member trains, 0 once it has stopped.
        learning_rate: learning rate of the epoch.
        momentum: momentum of the optimizer.
        l2: weight of the L2 penalty.
        positive_class_weight: weight of the positive records.
        focal_gamma: focusing parameter of the focal loss.
    """

    n_rows: Tensor
    running: Tensor
    learning_rate: Tensor
    momentum: Tensor
    l2: Tensor
    positive_class_weight: Tensor
    focal_gamma: Tensor


class TrainState(NamedTuple):
    """The state that an epoch updates.

    Attributes:
        step: (G, m), number of steps that each member has taken.
        weights: kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m).
        slots: the optimizer's state of each weight.
    """

    step: Tensor
    weights: tuple[Tensor, ...]
    slots: tuple[Slots, ...]


class EpochBatches(NamedTuple):
    """The batches of an epoch.

    Attributes:
        row_indices: int (S, G, B), indices into the R rows.
        dropout_masks: per hidden layer (S, G, B, U, m), factors of the units; empty without
            dropout.
    """

    row_indices: Tensor
    dropout_masks: tuple[Tensor, ...]


class TrainingData(NamedTuple):
    """The data of a program, constant over all epochs.

    Attributes:
        features: (R, F).
        labels: (R, O).
        row_weights: one (R, m) tensor, weight of each row for the members of its group; empty if
            all weights are 1.
        units: per hidden layer (G, 1, U, m), 1 for units that a member has and 0 for padding; empty
            if all members have all units.
    """

    features: Tensor
    labels: Tensor
    row_weights: tuple[Tensor, ...]
    units: tuple[Tensor, ...]


@functools.cache
def compile_epoch(spec: ProgramSpec) -> Callable[..., tuple[TrainState, Tensor]]:
    """Return the compiled function that trains one epoch.

    It takes a :class:`TrainState`, :class:`TrainingData`, :class:`EpochBatches` and
    :class:`Hyperparameters`. It returns the state after the epoch and the mean loss over the
    epoch's records, (G, m). The loss of a record is computed with the weights before its step.
    """

    def epoch(
        state: TrainState,
        data: TrainingData,
        batches: EpochBatches,
        hyperparameters: Hyperparameters,
    ) -> tuple[TrainState, Tensor]:
        positions = ops.arange(spec.batch_size, dtype="int32")

        def step(i: Tensor, carry: tuple[TrainState, Tensor]) -> tuple[TrainState, Tensor]:
            state, total_loss = carry
            rows = batches.row_indices[i]
            features = ops.take(data.features, rows, axis=0)
            labels = ops.take(data.labels, rows, axis=0)
            # Groups with fewer rows than others are padded.
            is_row = i * spec.batch_size + positions < hyperparameters.n_rows[:, None]  # (G, B)
            record_weights = ops.cast(is_row, features.dtype)[:, :, None]
            n_records = ops.sum(record_weights, axis=1)  # (G, 1)
            for row_weights in data.row_weights:
                record_weights = record_weights * ops.take(row_weights, rows, axis=0)
            if spec.output == "sigmoid":
                positive_class_weight = hyperparameters.positive_class_weight[:, None]
                record_weights = record_weights * (1 + labels * (positive_class_weight - 1))
            dropout_masks = [layer[i] for layer in batches.dropout_masks]

            def loss(weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
                outputs = forward_pass(spec, weights, features, data.units, dropout_masks)
                losses = record_losses(spec, outputs, labels, hyperparameters.focal_gamma)
                # Keras divides a weighted loss by the number of records, not by the weights' sum.
                member_loss = ops.sum(record_weights * losses, axis=1) / ops.maximum(n_records, 1)
                member_loss = member_loss + l2_penalty(weights, hyperparameters.l2)
                return ops.sum(member_loss), member_loss

            member_loss, weight_gradients = gradients(loss, state.weights)
            updating = hyperparameters.running * ops.cast(n_records > 0, member_loss.dtype)
            state = _apply_gradients(spec, state, weight_gradients, hyperparameters, updating)
            return state, total_loss + member_loss * n_records

        zero = ops.zeros_like(hyperparameters.learning_rate)
        state, total_loss = ops.fori_loop(0, batches.row_indices.shape[0], step, (state, zero))
        return state, total_loss / ops.cast(hyperparameters.n_rows, total_loss.dtype)[:, None]

    return compile_function(epoch)


def _apply_gradients(
    spec: ProgramSpec,
    state: TrainState,
    weight_gradients: Sequence[Tensor],
    hyperparameters: Hyperparameters,
    updating: Tensor,
) -> TrainState:
    """Return the state after one optimizer step.

    Args:
        spec: the static settings.
        state: the state before the step.
        weight_gradients: the gradient of each weight.
        hyperparameters: the hyperparameters of the epoch.
        updating: (G, m), 1 for members that take the step, 0 for all others.
    """
    step = state.step + updating
    updates = []
    for weight, gradient, slots in zip(state.weights, weight_gradients, state.slots, strict=True):
        middle_axes = [1] * (len(weight.shape) - 2)
        rate, momentum, step_number, is_updating = (
            ops.reshape(value, (value.shape[0], *middle_axes, value.shape[1]))
            for value in (hyperparameters.learning_rate, hyperparameters.momentum, step, updating)
        )
        update_rule = UPDATE_RULES[spec.optimizer]
        update = update_rule(weight, gradient, slots, rate, momentum, step_number)
        if spec.uneven:
            update = keras.tree.map_structure(
                lambda new, old, is_updating=is_updating: ops.where(is_updating > 0, new, old),
                update,
                (weight, slots),
            )
        updates.append(update)
    return TrainState(
        step, tuple(weight for weight, _ in updates), tuple(slots for _, slots in updates)
    )


@functools.cache
def compile_validation_loss(spec: ProgramSpec) -> Callable[..., Tensor]:
    """Return the compiled function that computes the loss of held-out rows.

    It takes weights, :class:`TrainingData`, row indices (G, V) of which the first
    ``n_validation_rows`` (G,) count, and :class:`Hyperparameters`. It returns the mean loss with
    the L2 penalty, (G, m), unweighted and without dropout.
    """

    def validation_loss(
        weights: Sequence[Tensor],
        data: TrainingData,
        rows: Tensor,
        n_validation_rows: Tensor,
        hyperparameters: Hyperparameters,
    ) -> Tensor:
        features = ops.take(data.features, rows, axis=0)
        labels = ops.take(data.labels, rows, axis=0)
        outputs = forward_pass(spec, weights, features, data.units)
        losses = record_losses(spec, outputs, labels, hyperparameters.focal_gamma)
        is_row = ops.arange(rows.shape[1], dtype="int32") < n_validation_rows[:, None]  # (G, V)
        total_loss = ops.sum(ops.where(is_row[:, :, None], losses, ops.zeros_like(losses)), axis=1)
        mean_loss = total_loss / ops.cast(n_validation_rows, total_loss.dtype)[:, None]
        return mean_loss + l2_penalty(weights, hyperparameters.l2)

    return compile_function(validation_loss)
