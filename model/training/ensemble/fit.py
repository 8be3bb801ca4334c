"""Fitting many networks in one program: folds, seeds, bootstrap samples, configs.

A thousand small networks take little longer than a few, because most of the time of one
:func:`model.training.fit.fit_network` is overhead, not arithmetic. A member takes the same steps as
``fit_network`` with the same config, rows and weights: initial weights and batches are equal. In
float64 the weights agree to 1e-6 on every backend. Only dropout uses other random numbers.

>>> from model.training import TrainingConfig
>>> features, labels = np.eye(4), np.array([0, 1, 0, 1])
>>> members = [MemberSpec(TrainingConfig(hidden=(2,), epochs=2, seed=seed)) for seed in range(3)]
>>> fit_ensemble(features, labels, members).predict(features).shape
(3, 4)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from model.errors import InvalidConfig
from model.training.ensemble.members import Ensemble, MemberSpec
from model.training.ensemble.program import Program
from model.training.keras_network import PROBABILITY_HEAD, Head, check_head

MAX_MEMBERS_PER_PROGRAM = 1_000
"""Larger programs are no faster per member, and need more memory."""


def fit_ensemble(
    features: np.ndarray,
    labels: np.ndarray,
    members: Sequence[MemberSpec],
    *,
    head: Head = PROBABILITY_HEAD,
    progress: str = "",
    members_per_program: int = MAX_MEMBERS_PER_PROGRAM,
) -> Ensemble:
    """Fit many networks.

    Members share a program if they have the same activation, loss, optimizer, batch size and number
    of hidden layers, and similar widths and numbers of epochs. All other settings may differ within
    a program: rows and their weights, seeds, learning rates and schedules, momentum, L2, positive
    class weight, dropout rate, patience.

    Args:
        features: (n, n_features), without NaN; or (n_tables, n, n_features), where each member
            names its table.
        labels: (n,) of 0 and 1; (n, n_outputs) for another head; (n_tables, n, n_outputs) if the
            tables have different labels.
        members: the specification of each network.
        head: the output layer of all networks.
        progress: label of the progress bar on stderr; empty for no bar.
        members_per_program: maximum number of members in a program.

    Returns:
        The fitted networks, in the order of ``members``.

    Raises:
        InvalidConfig: a member with patience has no validation rows, or a loss does not fit the
            head.
    """
    for number, member in enumerate(members):
        check_head(member.config.loss, head)
        if member.config.patience and member.validation_rows is None:
            raise InvalidConfig(
                f"member {number}: patience needs validation_rows; add them or set patience to 0"
            )
    dtype = keras.config.floatx()
    tables = np.asarray(features if features.ndim == 3 else features[None], dtype)
    targets = np.asarray(labels, dtype)
    if targets.ndim < 3:
        targets = np.broadcast_to(
            targets.reshape(len(labels), -1), (len(tables), len(labels), head.units)
        )
    programs = [
        Program(tables, targets, members, member_indices, head)
        for member_indices in _member_grids(members, members_per_program)
    ]
    with tqdm(
        total=sum(program.n_epochs for program in programs),
        desc=progress,
        unit="epoch",
        file=sys.stderr,
        disable=None if progress else True,
    ) as progress_bar:
        return Ensemble(members, head, [program.run(progress_bar) for program in programs])


def _member_grids(members: Sequence[MemberSpec], members_per_program: int) -> Iterator[np.ndarray]:
    """Generate the grid of each program: int (G, m), indices of its members; -1 for padding.

    The members of a group share their rows and batches. A program holds groups of similar size.
    Programs with the same static settings have the same shape, so they share a compiled function.
    """
    compatible: dict[tuple[Any, ...], dict[tuple[Any, ...], list[int]]] = {}
    for number, member in enumerate(members):
        groups = compatible.setdefault(_program_key(member), {})
        groups.setdefault(_group_key(member), []).append(number)
    for groups in compatible.values():
        by_size: dict[int, list[np.ndarray]] = {}
        for numbers in groups.values():
            for group in np.array_split(numbers, -(-len(numbers) // members_per_program)):
                by_size.setdefault(len(group).bit_length(), []).append(group)
        for similar in by_size.values():
            m = max(map(len, similar))
            grid = np.array([np.pad(g, (0, m - len(g)), constant_values=-1) for g in similar])
            n_programs = -(-grid.size // max(members_per_program, m))
            n_groups = -(-len(grid) // n_programs)
            for start in range(0, len(grid), n_groups):
                part = grid[start : start + n_groups]
                yield np.pad(part, ((0, n_groups - len(part)), (0, 0)), constant_values=-1)


def _program_key(member: MemberSpec) -> tuple[Any, ...]:
    """Return the settings that must be equal within a program."""
    config = member.config
    return (
        config.activation,
        config.loss,
        config.optimizer,
        config.batch_size,
        # A program computes as many units and epochs for every member as its largest member has.
        tuple(_size_class(units) for units in config.hidden),
        _size_class(config.epochs),
        bool(config.dropout),
        member.validation_rows is not None,
        member.weights is not None,
    )


def _group_key(member: MemberSpec) -> tuple[Any, ...]:
    """Return the settings that must be equal within a group, whose members share batches."""
    return (
        member.table,
        _row_key(member.rows),
        _row_key(member.validation_rows),
        member.config.shuffle_seed,
    )


def _row_key(rows: np.ndarray | None) -> bytes | None:
    return None if rows is None else np.asarray(rows, np.int64).tobytes()


def _size_class(number: int) -> int:
    """Return a size class; numbers of one class differ by less than a factor of 4."""
    return (number.bit_length() + 1) // 2
