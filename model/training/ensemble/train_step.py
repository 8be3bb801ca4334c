"""One epoch of many networks of the same make, as one program: the inside of an ensemble.

A member's loss depends on its own weights alone, so the gradient of the sum of all losses holds
every member's own gradient.

The letters in the shapes are those of :mod:`model.training.fit.ensemble.forward`; S is the steps of an epoch, R the rows
of all groups together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from model.training.ensemble.autodiff import compiled, gradients
from model.training.ensemble.forward import Plan, forward, losses, penalty
from model.training.ensemble.optimizers import STEPS, Slots

Tensor = Any


class Settings(NamedTuple):
    """What each member has of its own: all (G, m), but for ``n_rows``.

    Attributes:
        n_rows: (G,), rows an epoch.
        running: 1 while it trains, 0 once it stopped.
        rate: its learning rate in this epoch.
    """

    n_rows: Tensor
    running: Tensor
    rate: Tensor
    momentum: Tensor
    l2: Tensor
    missed_cost: Tensor
    focal_gamma: Tensor


class State(NamedTuple):
    """What an epoch changes.

    Attributes:
        number: (G, m), steps that each member has made.
        weights: kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m).
        slots: by weight, what the optimizer remembers of it.
    """

    number: Tensor
    weights: tuple[Tensor, ...]
    slots: tuple[Slots, ...]


class Shown(NamedTuple):
    """What the steps of an epoch are shown.

    Attributes:
        order: int (S, G, B), rows among the R.
        kept: by hidden layer (S, G, B, U, m), what dropout multiplies units by; empty for nothing.
    """

    order: Tensor
    kept: tuple[Tensor, ...]


class Fixed(NamedTuple):
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
def epoch_program(plan: Plan) -> Callable[..., tuple[State, Tensor]]:
    """The compiled program of an epoch.

    It takes a :class:`State`, :class:`Fixed`, :class:`Shown` and :class:`Settings`, and gives the
    state after the epoch and (G, m) the mean loss of its records, each at the weights that its
    step started from.
    """

    def epoch(state: State, fixed: Fixed, shown: Shown, settings: Settings) -> tuple[State, Tensor]:
        place = ops.arange(plan.batch_size, dtype="int32")

        def step(i: Tensor, carried: tuple[State, Tensor]) -> tuple[State, Tensor]:
            state, total = carried
            rows = shown.order[i]
            features = ops.take(fixed.features, rows, axis=0)
            labels = ops.take(fixed.labels, rows, axis=0)
            there = i * plan.batch_size + place < settings.n_rows[:, None]  # (G, B)
            counted = ops.cast(there, features.dtype)[:, :, None]
            n_there = ops.sum(counted, axis=1)  # (G, 1)
            for weights in fixed.weights:
                counted = counted * ops.take(weights, rows, axis=0)
            if plan.output == "sigmoid":
                counted = counted * (1 + labels * (settings.missed_cost[:, None] - 1))
            kept = [layer[i] for layer in shown.kept]

            def loss(weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
                outputs = forward(plan, weights, features, fixed.units, kept)
                each = losses(plan, outputs, labels, settings.focal_gamma)
                # Keras divides a weighted loss by the number of records, not by the weights' sum.
                own = ops.sum(counted * each, axis=1) / ops.maximum(n_there, 1)
                own = own + penalty(weights, settings.l2)
                return ops.sum(own), own

            own, found = gradients(loss, state.weights)
            state = _stepped(
                plan, state, found, settings, settings.running * ops.cast(n_there > 0, own.dtype)
            )
            return state, total + own * n_there

        nothing = ops.zeros_like(settings.rate)
        state, total = ops.fori_loop(0, shown.order.shape[0], step, (state, nothing))
        return state, total / ops.cast(settings.n_rows, total.dtype)[:, None]

    return compiled(epoch)


def _stepped(
    plan: Plan, state: State, found: Sequence[Tensor], settings: Settings, goes_on: Tensor
) -> State:
    """The state after a step along the gradients found, for the members that go on."""
    number = state.number + goes_on
    after = []
    for weight, gradient, slots in zip(state.weights, found, state.slots, strict=True):
        ones = [1] * (len(weight.shape) - 2)
        rate, momentum, count, go = (
            ops.reshape(value, (value.shape[0], *ones, value.shape[1]))
            for value in (settings.rate, settings.momentum, number, goes_on)
        )
        new = STEPS[plan.optimizer](weight, gradient, slots, rate, momentum, count)
        if plan.uneven:
            new = keras.tree.map_structure(
                lambda one, other, go=go: ops.where(go > 0, one, other), new, (weight, slots)
            )
        after.append(new)
    return State(number, tuple(w for w, _ in after), tuple(s for _, s in after))


@functools.cache
def watch_program(plan: Plan) -> Callable[..., Tensor]:
    """The compiled program of a look at held-out rows.

    It takes weights, :class:`Fixed`, rows (G, V) of which only the first (G,) ``n_held`` count,
    and :class:`Settings`. It gives (G, m) the mean loss with the penalty.
    """

    def watch(
        weights: Sequence[Tensor], fixed: Fixed, rows: Tensor, n_held: Tensor, settings: Settings
    ) -> Tensor:
        features = ops.take(fixed.features, rows, axis=0)
        labels = ops.take(fixed.labels, rows, axis=0)
        outputs = forward(plan, weights, features, fixed.units)
        each = losses(plan, outputs, labels, settings.focal_gamma)
        there = (ops.arange(rows.shape[1], dtype="int32") < n_held[:, None])[:, :, None]
        total = ops.sum(ops.where(there, each, ops.zeros_like(each)), axis=1)
        return total / ops.cast(n_held, total.dtype)[:, None] + penalty(weights, settings.l2)

    return compiled(watch)
