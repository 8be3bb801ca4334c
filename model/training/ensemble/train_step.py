"""One epoch of many networks of the same make, as one program: the inside of an ensemble.

A member's loss depends on its own weights alone, so the gradient of the sum of all losses holds
every member's own gradient.

The letters in the shapes are those of :mod:`model.training.ensemble.forward`; S is the steps of an epoch, R the rows
of all groups together.
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
    """What each member has of its own: all (G, m), but for ``n_rows``.

    Attributes:
        n_rows: (G,), rows an epoch.
        running: 1 while it trains, 0 once it stopped.
        learning_rate: its learning rate in this epoch.
    """

    n_rows: Tensor
    running: Tensor
    learning_rate: Tensor
    momentum: Tensor
    l2: Tensor
    positive_class_weight: Tensor
    focal_gamma: Tensor


class TrainState(NamedTuple):
    """What an epoch changes.

    Attributes:
        step: (G, m), steps that each member has made.
        weights: kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m).
        slots: by weight, what the optimizer remembers of it.
    """

    step: Tensor
    weights: tuple[Tensor, ...]
    slots: tuple[Slots, ...]


class EpochBatches(NamedTuple):
    """What the steps of an epoch are batches.

    Attributes:
        row_indices: int (S, G, B), rows among the R.
        dropout_masks: by hidden layer (S, G, B, U, m), what dropout multiplies units by; empty for nothing.
    """

    row_indices: Tensor
    dropout_masks: tuple[Tensor, ...]


class TrainingData(NamedTuple):
    """What stays the same from epoch to epoch.

    Attributes:
        features: (R, F)
        labels: (R, O)
        weights: (R, m), how much a row counts for the members of the group that sees it; empty
            where all count alike.
        units: by hidden layer (G, 1, U, m) of 0 and 1, which units a member has; empty for all.
    """

    features: Tensor
    labels: Tensor
    weights: tuple[Tensor, ...]
    units: tuple[Tensor, ...]


@functools.cache
def compile_epoch(spec: ProgramSpec) -> Callable[..., tuple[TrainState, Tensor]]:
    """The compiled program of an epoch.

    It takes a :class:`TrainState`, :class:`TrainingData`, :class:`EpochBatches` and :class:`Hyperparameters`, and gives the
    state after the epoch and (G, m) the mean loss of its records, each at the weights that its
    step started from.
    """

    def epoch(
        state: TrainState, data: TrainingData, batches: EpochBatches, settings: Hyperparameters
    ) -> tuple[TrainState, Tensor]:
        place = ops.arange(spec.batch_size, dtype="int32")

        def step(i: Tensor, carried: tuple[TrainState, Tensor]) -> tuple[TrainState, Tensor]:
            state, total = carried
            rows = batches.row_indices[i]
            features = ops.take(data.features, rows, axis=0)
            labels = ops.take(data.labels, rows, axis=0)
            there = i * spec.batch_size + place < settings.n_rows[:, None]  # (G, B)
            counted = ops.cast(there, features.dtype)[:, :, None]
            n_there = ops.sum(counted, axis=1)  # (G, 1)
            for weights in data.weights:
                counted = counted * ops.take(weights, rows, axis=0)
            if spec.output == "sigmoid":
                counted = counted * (1 + labels * (settings.positive_class_weight[:, None] - 1))
            dropout_masks = [layer[i] for layer in batches.dropout_masks]

            def loss(weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
                outputs = forward_pass(spec, weights, features, data.units, dropout_masks)
                each = record_losses(spec, outputs, labels, settings.focal_gamma)
                # Keras divides a weighted loss by the number of records, not by the weights' sum.
                own = ops.sum(counted * each, axis=1) / ops.maximum(n_there, 1)
                own = own + l2_penalty(weights, settings.l2)
                return ops.sum(own), own

            own, found = gradients(loss, state.weights)
            state = _apply_gradients(
                spec, state, found, settings, settings.running * ops.cast(n_there > 0, own.dtype)
            )
            return state, total + own * n_there

        nothing = ops.zeros_like(settings.learning_rate)
        state, total = ops.fori_loop(0, batches.row_indices.shape[0], step, (state, nothing))
        return state, total / ops.cast(settings.n_rows, total.dtype)[:, None]

    return compile_function(epoch)


def _apply_gradients(
    spec: ProgramSpec,
    state: TrainState,
    found: Sequence[Tensor],
    settings: Hyperparameters,
    goes_on: Tensor,
) -> TrainState:
    """The state after a step along the gradients found, for the members that go on."""
    number = state.step + goes_on
    after = []
    for weight, gradient, slots in zip(state.weights, found, state.slots, strict=True):
        ones = [1] * (len(weight.shape) - 2)
        rate, momentum, count, go = (
            ops.reshape(value, (value.shape[0], *ones, value.shape[1]))
            for value in (settings.learning_rate, settings.momentum, number, goes_on)
        )
        new = UPDATE_RULES[spec.optimizer](weight, gradient, slots, rate, momentum, count)
        if spec.uneven:
            new = keras.tree.map_structure(
                lambda one, other, go=go: ops.where(go > 0, one, other), new, (weight, slots)
            )
        after.append(new)
    return TrainState(number, tuple(w for w, _ in after), tuple(s for _, s in after))


@functools.cache
def compile_validation_loss(spec: ProgramSpec) -> Callable[..., Tensor]:
    """The compiled program of a look at held-out rows.

    It takes weights, :class:`TrainingData`, rows (G, V) of which only the first (G,) ``n_validation_rows`` count,
    and :class:`Hyperparameters`. It gives (G, m) the mean loss with the penalty.
    """

    def watch(
        weights: Sequence[Tensor],
        data: TrainingData,
        rows: Tensor,
        n_validation_rows: Tensor,
        settings: Hyperparameters,
    ) -> Tensor:
        features = ops.take(data.features, rows, axis=0)
        labels = ops.take(data.labels, rows, axis=0)
        outputs = forward_pass(spec, weights, features, data.units)
        each = record_losses(spec, outputs, labels, settings.focal_gamma)
        there = (ops.arange(rows.shape[1], dtype="int32") < n_validation_rows[:, None])[:, :, None]
        total = ops.sum(ops.where(there, each, ops.zeros_like(each)), axis=1)
        return total / ops.cast(n_validation_rows, total.dtype)[:, None] + l2_penalty(
            weights, settings.l2
        )

    return compile_function(watch)
