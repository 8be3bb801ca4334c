"""Networks trained only for the report.

They show what a single network cannot: variation between folds and seeds, the effect of the number
of training records, and optimism. There are networks for every fold from several seeds, networks
for every fold from fewer records, and networks of bootstrap samples. A few ensemble programs train
all of them in seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from model.evaluation import Split, bootstrap_statistic
from model.training import TrainingConfig
from model.training.ensemble import Ensemble, MemberSpec, fit_ensemble
from pipelines.data import Table
from pipelines.evaluation import (
    SEED,
    FoldNetworks,
    FoldRows,
    fit_fold_networks,
    prepare_folds,
)
from pipelines.report.context import ReportContext

N_SEEDS = 3
"""Networks per fold."""
TRAINING_FRACTIONS = (0.2, 0.4, 0.7)
"""Fractions of a fold's training records, for the learning curve."""
N_BOOTSTRAP = 200
"""Bootstrap samples; enough for optimism (Steyerberg, Clinical Prediction Models, 2019, ch. 5)."""
MAX_RECORDS = 5_000
"""Most records used. Without this limit a report could take longer than the training."""


@dataclass(frozen=True)
class AuxiliaryNetworks:
    """The networks trained for a report, in addition to the network that it describes.

    Attributes:
        table: the table, or a sample of it.
        is_sample: True for a sample.
        config: the training config of all these networks: the recipe without a validation
            fraction. If the reported network stopped early, they are trained for as many epochs as
            it kept.
        folds: the networks of the ten folds, ``N_SEEDS`` each. A fold's test records are its
            validation rows, so their loss is known after every epoch.
        by_size: for each training fraction, the mean number of training records, and the
            out-of-fold probabilities (n,) of networks trained on so many.
        bootstrap_networks: the networks of the bootstrap samples.
        bootstrap_counts: (N_BOOTSTRAP, n), the number of times each record was drawn.
    """

    table: Table
    is_sample: bool
    config: TrainingConfig
    folds: FoldNetworks
    by_size: Sequence[tuple[float, np.ndarray]]
    bootstrap_networks: Ensemble
    bootstrap_counts: np.ndarray


def train_auxiliary_networks(context: ReportContext) -> AuxiliaryNetworks:
    """Train the networks of the folds, of the fractions and of the bootstrap samples.

    Args:
        context: the training that the report is about.

    Returns:
        The trained networks, and the table or the sample of it that they were trained on.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    table, config = _limit_records(context.table), config_without_validation(context)
    folds = prepare_folds(table, seed=SEED, n_repeats=1)
    fold_networks = fit_fold_networks(
        table,
        [FoldRows(train, test, validation=test) for train, test in folds.splits],
        # Every network gets its own initial weights; the seeds of a fold share their batches.
        [
            [config.reseeded(number + 1_000 * seed, number) for seed in range(N_SEEDS)]
            for number in range(len(folds))
        ],
        encodings=folds.encodings,
    )
    bootstrap_counts = bootstrap_statistic(
        np.asarray, table.groups, seed=SEED, n_samples=N_BOOTSTRAP
    )
    bootstrap_networks = fit_ensemble(
        context.encoding.encode(table.values),
        table.labels,
        [
            MemberSpec(config.reseeded(number), weights=counts)
            for number, counts in enumerate(bootstrap_counts)
        ],
    )
    return AuxiliaryNetworks(
        table=table,
        is_sample=table is not context.table,
        config=config,
        folds=fold_networks,
        by_size=_train_on_fractions(table, config, folds.splits),
        bootstrap_networks=bootstrap_networks,
        bootstrap_counts=bootstrap_counts,
    )


def _train_on_fractions(
    table: Table, config: TrainingConfig, splits: Sequence[Split]
) -> list[tuple[float, np.ndarray]]:
    rng = np.random.default_rng(SEED)
    rows = [
        FoldRows(_draw_stratified(table.labels, train, fraction, rng), test)
        for fraction in TRAINING_FRACTIONS
        for train, test in splits
    ]
    configs = [[config.reseeded(index % len(splits))] for index in range(len(rows))]
    (out_of_fold,) = fit_fold_networks(table, rows, configs).out_of_fold()
    sizes = np.array([len(fold.train) for fold in rows]).reshape(-1, len(splits)).mean(axis=1)
    return list(zip(sizes.tolist(), out_of_fold, strict=True))


def _limit_records(table: Table) -> Table:
    if len(table) <= MAX_RECORDS:
        return table
    rows = np.sort(np.random.default_rng(SEED).choice(len(table), MAX_RECORDS, replace=False))
    return dataclasses.replace(
        table, values=table.values[rows], outcome=table.outcome[rows], lines=table.lines[rows]
    )


def config_without_validation(context: ReportContext) -> TrainingConfig:
    """Return the recipe without a validation set, for the epochs that the network's weights had."""
    config, losses = context.config, context.history.get("val_loss", ())
    epochs = int(np.argmin(losses)) + 1 if config.patience and len(losses) else config.epochs
    return msgspec.structs.replace(config, epochs=epochs, patience=0, validation_fraction=0.0)


def _draw_stratified(
    labels: np.ndarray, rows: np.ndarray, fraction: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw a fraction of some rows within each outcome, and at least one row of each."""
    parts = []
    for outcome in (0, 1):
        candidates = rows[labels[rows] == outcome]
        parts.append(
            rng.choice(candidates, max(1, round(fraction * len(candidates))), replace=False)
        )
    return np.sort(np.concatenate(parts))
