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
from model.features import Encoding
from model.training import TrainingConfig
from model.training.ensemble import Ensemble, MemberSpec, fit_ensemble
from pipelines.data import Table
from pipelines.evaluation import SEED, fit_encodings, prepare_folds
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
        splits, encodings: those of the ten folds.
        folds: the networks of every fold, ``N_SEEDS`` each. The fold's test records were evaluated
            after every epoch.
        by_size: for each training fraction, the mean number of training records, and the
            out-of-fold probabilities (n,) of networks trained on so many.
        bootstrap_networks: the networks of the bootstrap samples.
        bootstrap_counts: (N_BOOTSTRAP, n), the number of times each record was drawn.
    """

    table: Table
    is_sample: bool
    config: TrainingConfig
    splits: Sequence[Split]
    encodings: Sequence[Encoding]
    folds: Ensemble
    by_size: Sequence[tuple[float, np.ndarray]]
    bootstrap_networks: Ensemble
    bootstrap_counts: np.ndarray

    def predict_folds(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities that each fold's networks predict for that fold's values.

        Args:
            values: one array (m, n_columns) per fold, with the same m for all folds.

        Returns:
            float64 (n_folds, N_SEEDS, m): probabilities before any calibration.
        """
        features = [e.encode(part) for e, part in zip(self.encodings, values, strict=True)]
        return self.folds.predict(np.stack(features)).reshape(len(self.splits), N_SEEDS, -1)


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
    labels, groups = table.labels, table.groups
    folds = prepare_folds(table, seed=SEED, n_repeats=1)
    # Every network gets its own initial weights; the seeds of a fold share their batches.
    members = [
        MemberSpec(
            config.reseeded(number + 1_000 * seed, number),
            train,
            validation_rows=test,
            table=number,
        )
        for number, (train, test) in enumerate(folds.splits)
        for seed in range(N_SEEDS)
    ]
    features = np.stack([folds.features(number) for number in range(len(folds))])
    fold_networks = fit_ensemble(features, labels, members)
    bootstrap_counts = bootstrap_statistic(np.asarray, groups, seed=SEED, n_samples=N_BOOTSTRAP)
    bootstrap_networks = fit_ensemble(
        context.encoding.encode(table.values),
        labels,
        [
            MemberSpec(config.reseeded(number), weights=counts)
            for number, counts in enumerate(bootstrap_counts)
        ],
    )
    return AuxiliaryNetworks(
        table=table,
        is_sample=table is not context.table,
        config=config,
        splits=folds.splits,
        encodings=folds.encodings,
        folds=fold_networks,
        by_size=_train_on_fractions(table, config, folds.splits),
        bootstrap_networks=bootstrap_networks,
        bootstrap_counts=bootstrap_counts,
    )


def _train_on_fractions(
    table: Table, config: TrainingConfig, splits: Sequence[Split]
) -> list[tuple[float, np.ndarray]]:
    rng = np.random.default_rng(SEED)
    training_rows = [
        _draw_stratified(table.labels, train, fraction, rng)
        for fraction in TRAINING_FRACTIONS
        for train, _ in splits
    ]
    members = [
        MemberSpec(config.reseeded(index % len(splits)), rows, table=index)
        for index, rows in enumerate(training_rows)
    ]
    encodings = fit_encodings(table, training_rows)
    features = np.stack([encoding.encode(table.values) for encoding in encodings])
    probabilities = fit_ensemble(features, table.labels, members).predict(features)
    sizes = [len(rows) for rows in training_rows]
    by_size = []
    for start in range(0, len(members), len(splits)):
        held_out = np.empty(len(table))
        for number, (_, test) in enumerate(splits):
            held_out[test] = probabilities[start + number, test]
        by_size.append((float(np.mean(sizes[start : start + len(splits)])), held_out))
    return by_size


def _limit_records(table: Table) -> Table:
    if len(table) <= MAX_RECORDS:
        return table
    assert table.outcome is not None
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
