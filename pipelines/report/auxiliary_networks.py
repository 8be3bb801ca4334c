"""Networks that are trained for the report alone, to see what a lone network cannot show.

All in a few programs that take seconds: networks of every fold from several
seeds, networks of every fold from fewer records, and networks of bootstrap samples.
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
"""Networks a fold."""
TRAINING_FRACTIONS = (0.2, 0.4, 0.7)
"""Of a fold's records, that networks are trained on to see what more of them are worth."""
N_BOOTSTRAP = 200
"""Enough for optimism (Steyerberg, Clinical Prediction Models, 2019, chapter 5)."""
MAX_RECORDS = 5_000
"""Records: of a larger table a sample is taken, or the report would take longer than the training."""


@dataclass(frozen=True)
class AuxiliaryNetworks:
    """What was trained beside the network that the report is about.

    Attributes:
        table: the table, or a sample of it.
        is_sample: whether it is one.
        config: of all of them: the recipe, without a validation share. Where the network stopped
            early, they are trained for as many epochs as it kept.
        splits, encodings: of the ten folds.
        folds: the networks of every fold, ``N_SEEDS`` each; the fold's own records were looked at
            after every epoch.
        by_size: by share of a fold's records, which is how many on average, and the out-of-fold
            probabilities (n,) of networks trained on so few.
        bootstrap_networks: networks of bootstrap samples of records.
        bootstrap_counts: (N_BOOTSTRAP, n), how often each record was drawn for them.
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
        """What the networks of every fold say of values of their own.

        Args:
            values: for every fold (m, n_columns), m the same for all.

        Returns:
            float64 (n_folds, N_SEEDS, m): probabilities before any calibration.
        """
        features = [e.encode(part) for e, part in zip(self.encodings, values, strict=True)]
        return self.folds.predict(np.stack(features)).reshape(len(self.splits), N_SEEDS, -1)


def train_auxiliary_networks(context: ReportContext) -> AuxiliaryNetworks:
    """Train all of them.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    table, config = _limit_records(context.table), config_as_long(context)
    labels, groups = table.labels, table.groups
    folds = prepare_folds(table, seed=SEED, n_repeats=1)
    # Other first weights for every network, other batches for every fold.
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
    of_folds = fit_ensemble(features, labels, members)
    draws = bootstrap_statistic(np.asarray, groups, seed=SEED, n_samples=N_BOOTSTRAP)
    resampled = fit_ensemble(
        context.encoding.encode(table.values),
        labels,
        [MemberSpec(config.reseeded(number), weights=drawn) for number, drawn in enumerate(draws)],
    )
    return AuxiliaryNetworks(
        table=table,
        is_sample=table is not context.table,
        config=config,
        splits=folds.splits,
        encodings=folds.encodings,
        folds=of_folds,
        by_size=_train_on_fractions(table, config, folds.splits),
        bootstrap_networks=resampled,
        bootstrap_counts=draws,
    )


def _train_on_fractions(
    table: Table, config: TrainingConfig, splits: Sequence[Split]
) -> list[tuple[float, np.ndarray]]:
    draw = np.random.default_rng(SEED)
    sides = [
        _draw_stratified(table.labels, train, share, draw)
        for share in TRAINING_FRACTIONS
        for train, _ in splits
    ]
    members = [
        MemberSpec(config.reseeded(place % len(splits)), rows, table=place)
        for place, rows in enumerate(sides)
    ]
    encodings = fit_encodings(table, sides)
    features = np.stack([encoding.encode(table.values) for encoding in encodings])
    found = fit_ensemble(features, table.labels, members).predict(features)
    sizes = [len(rows) for rows in sides]
    fewer = []
    for start in range(0, len(members), len(splits)):
        held_out = np.empty(len(table))
        for number, (_, test) in enumerate(splits):
            held_out[test] = found[start + number, test]
        fewer.append((float(np.mean(sizes[start : start + len(splits)])), held_out))
    return fewer


def _limit_records(table: Table) -> Table:
    if len(table) <= MAX_RECORDS:
        return table
    assert table.outcome is not None
    rows = np.sort(np.random.default_rng(SEED).choice(len(table), MAX_RECORDS, replace=False))
    return dataclasses.replace(
        table, values=table.values[rows], outcome=table.outcome[rows], lines=table.lines[rows]
    )


def config_as_long(context: ReportContext) -> TrainingConfig:
    """The recipe for as many epochs as the network's weights are from, and nothing set aside."""
    config, seen = context.config, context.history.get("val_loss", ())
    epochs = int(np.argmin(seen)) + 1 if config.patience and len(seen) else config.epochs
    return msgspec.structs.replace(config, epochs=epochs, patience=0, validation_fraction=0.0)


def _draw_stratified(
    labels: np.ndarray, rows: np.ndarray, share: float, draw: np.random.Generator
) -> np.ndarray:
    """A share of some rows, of either outcome alike, and at least one of each."""
    parts = []
    for outcome in (0, 1):
        here = rows[labels[rows] == outcome]
        parts.append(draw.choice(here, max(1, round(share * len(here))), replace=False))
    return np.sort(np.concatenate(parts))
