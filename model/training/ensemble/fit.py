"""Many networks in one program: folds, seeds, bootstraps and choices side by side.

A thousand small networks cost little more than a handful, because what takes the time of a lone
:func:`model.training.fit.fit.fit_network` is not arithmetic. A member takes the same steps as a lone fit of
the same config, rows and weights, from the same first weights, through the same batches; in float64
they agree to 1e-6, on every backend. Only dropout draws other numbers here than there.

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
"""More in one program are no faster, and take more memory."""


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

    Members of one activation, loss, optimizer, batch size and number of hidden layers share a
    program. Everything else may differ inside it: rows and their weights, seeds, widths, learning
    rates and their schedules, momenta, L2, costs of a missed positive, dropout, numbers of epochs,
    patience.

    Args:
        features: (n, n_features), without NaN; or (n_tables, n, n_features), where every member
            names its table.
        labels: (n,) of 0 and 1; (n, n_outputs) for another head; (n_tables, n, n_outputs) where
            the tables differ in them.
        progress: what the bar on stderr is called; empty for no bar.
        members_per_program: members that a program holds.

    Raises:
        InvalidConfig: a member with patience and nothing to look at; a loss that does not fit the
            head.
    """
    for member in members:
        check_head(member.config.loss, head)
        if member.config.patience and member.validation_rows is None:
            raise InvalidConfig("patience: early stopping needs rows to look at")
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
        total=sum(program.n_epochs for program in programs), desc=progress, unit="epoch",
        file=sys.stderr, disable=None if progress else True,
    ) as bar:  # fmt: skip
        return Ensemble(members, head, [program.run(bar) for program in programs])


def _member_grids(members: Sequence[MemberSpec], members_per_program: int) -> Iterator[np.ndarray]:
    """(G, m) numbers of the members that share a program, group by group; -1 where nobody stands.

    Groups that are about equally large share a program, and programs of one plan are of equal
    shape, so that they share what was compiled.
    """
    plans: dict[tuple[Any, ...], dict[tuple[Any, ...], list[int]]] = {}
    for number, member in enumerate(members):
        config = member.config
        # Widths and epochs of about one size: a program does for all what its largest needs.
        plan = (config.activation, config.loss, config.optimizer, config.batch_size,
                tuple(_size_class(units) for units in config.hidden), _size_class(config.epochs),
                bool(config.dropout), member.validation_rows is not None, member.weights is not None)  # fmt: skip
        group = (
            member.table,
            _fingerprint(member.rows),
            _fingerprint(member.validation_rows),
            config.shuffle_seed,
        )
        plans.setdefault(plan, {}).setdefault(group, []).append(number)
    for groups in plans.values():
        sizes: dict[int, list[np.ndarray]] = {}
        for numbers in groups.values():
            for some in np.array_split(numbers, -(-len(numbers) // members_per_program)):
                sizes.setdefault(len(some).bit_length(), []).append(some)
        for alike in sizes.values():
            m = max(map(len, alike))
            filled = np.array([np.pad(g, (0, m - len(g)), constant_values=-1) for g in alike])
            n_programs = -(-filled.size // max(members_per_program, m))
            length = -(-len(filled) // n_programs)
            for start in range(0, len(filled), length):
                some = filled[start : start + length]
                yield np.pad(some, ((0, length - len(some)), (0, 0)), constant_values=-1)


def _size_class(number: int) -> int:
    """The same for numbers that differ by less than a factor of 4."""
    return (number.bit_length() + 1) // 2


def _fingerprint(rows: np.ndarray | None) -> bytes | None:
    return None if rows is None else np.asarray(rows, np.int64).tobytes()
