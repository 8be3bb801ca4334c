"""What a missing column costs: the answers without it, beside a network that never had it.

Columns are hidden in every record of the test side of every fold. What a version would answer then is
held against a network that was fitted to the same training rows without these columns, which is the
best that anybody could do who knew beforehand what would be missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from model.evaluation import log_loss
from model.features import ConditionalGaussianImputer, Encoding, fit_feature_moments
from model.inference import DenseNetwork, MissingValueScorer, optional_columns
from model.logit import to_probabilities
from model.schema import Schema
from model.training import TrainingConfig
from pipelines.data import Table
from pipelines.evaluation import N_SPLITS, prepare_folds

N_RANDOM = 25
MAX_JOBS_PER_ENSEMBLE = 380


class Job(NamedTuple):
    """One network to fit.

    Attributes:
        features: float64 (n, n_features) of the whole table; those of columns that the network
            never sees are 0 throughout.
        rows: that it is fitted to.
        seed: of its first weights.
    """

    features: np.ndarray
    rows: np.ndarray
    seed: int


FitMany = Callable[[Iterable[Job], np.ndarray, TrainingConfig], Iterator[DenseNetwork]]
"""(jobs, labels (n,), recipe) → networks, in the order of the jobs."""


def fit_in_ensembles(
    jobs: Iterable[Job], labels: np.ndarray, config: TrainingConfig
) -> Iterator[DenseNetwork]:
    """Fit networks as ensembles, some hundreds at a time, so that memory stays flat."""
    # Only now: Keras is not needed to say what to hide.
    from model.training import read_layers
    from model.training.ensemble import MemberSpec, fit_ensemble

    jobs = iter(jobs)
    while some := list(itertools.islice(jobs, MAX_JOBS_PER_ENSEMBLE)):
        tables = np.stack([job.features for job in some])
        members = [
            MemberSpec(msgspec.structs.replace(config, seed=job.seed), rows=job.rows, table=table)
            for table, job in enumerate(some)
        ]
        ensemble = fit_ensemble(tables, labels, members)
        for number in range(len(some)):
            layers = read_layers(ensemble.network(number))
            yield DenseNetwork(layers, tables.shape[2], np.float64)


class Cost(msgspec.Struct, frozen=True):
    """Log losses over all folds with some columns hidden: as answered, and by networks without them."""

    imputed: float
    refitted: float

    @property
    def difference(self) -> float:
        """What the answers lose: at most a few thousandths, or something is wrong."""
        return self.imputed - self.refitted


def missing_patterns(schema: Schema, *, seed: int) -> list[tuple[str, ...]]:
    """Nothing, each column that may be missing, and 25 different random sets of two or more."""
    names = [schema.column_names[index] for index in optional_columns(schema)]
    draw = np.random.default_rng(seed)
    found: list[tuple[str, ...]] = [(), *((name,) for name in names)]
    n_wanted = min(len(found) + N_RANDOM, 2 ** len(names))
    while len(found) < n_wanted:
        taken = draw.random(len(names)) < draw.random()
        pattern = tuple(name for name, is_taken in zip(names, taken, strict=True) if is_taken)
        if pattern not in found:
            found.append(pattern)
    return found


def missing_value_costs(
    table: Table,
    config: TrainingConfig,
    patterns: Sequence[tuple[str, ...]],
    *,
    seed: int,
    n_repeats: int,
    n_folds: int | None = None,
    fit_many: FitMany = fit_in_ensembles,
) -> Mapping[tuple[str, ...], Cost]:
    """Hide columns on repeated folds.

    Args:
        patterns: names of the columns to hide together; () hides none.
        n_folds: only so many of the folds, where this is only tried out.
    """
    folds = list(_folds(table, seed, n_repeats))[:n_folds]
    networks = fit_many(_jobs(table, folds, config, patterns), table.labels, config)
    answered = np.full((len(patterns), n_repeats, len(table)), np.nan)
    refitted = answered.copy()
    for number, fold in enumerate(folds):
        repeat = number // N_SPLITS
        whole = MissingValueScorer(fold.conditional, next(networks))
        for place, pattern in enumerate(patterns):
            answered[place, repeat, fold.test] = whole.probabilities(
                _hidden(table, fold.test, pattern)
            )
            # Without columns that are missing anyway: what else is missing has its mean.
            features = _without(fold.encoding, table, pattern)[fold.test]
            network = next(networks) if pattern else whole.network
            log_odds = network.log_odds(network.first_layer_sums(features))
            refitted[place, repeat, fold.test] = to_probabilities(log_odds)
    losses = (_losses(table.labels, found) for found in (answered, refitted))
    return {
        pattern: Cost(*pair)
        for pattern, pair in zip(patterns, zip(*losses, strict=True), strict=True)
    }


@dataclass(frozen=True)
class _Fold:
    train: np.ndarray
    test: np.ndarray
    encoding: Encoding
    conditional: ConditionalGaussianImputer


def _folds(table: Table, seed: int, n_repeats: int) -> Iterator[_Fold]:
    folds = prepare_folds(table, seed=seed, n_repeats=n_repeats)
    columns = optional_columns(table.schema)
    for (train, test), encoding in zip(folds.splits, folds.encodings, strict=True):
        inputs = fit_feature_moments(encoding.encode(table.values[train]))
        yield _Fold(train, test, encoding, ConditionalGaussianImputer(inputs, encoding, columns))


def _jobs(
    table: Table,
    folds: Sequence[_Fold],
    config: TrainingConfig,
    patterns: Sequence[tuple[str, ...]],
) -> Iterator[Job]:
    """For each fold the whole network, then one without each pattern that hides anything."""
    for number, fold in enumerate(folds):
        seed = config.reseeded(number).seed
        for pattern in ((), *(pattern for pattern in patterns if pattern)):
            yield Job(_without(fold.encoding, table, pattern), fold.train, seed)


def _without(encoding: Encoding, table: Table, pattern: Sequence[str]) -> np.ndarray:
    """float64 (n, n_features), with 0 for the features of some columns."""
    features = encoding.encode(table.values)
    hidden = [table.schema.column_names.index(name) for name in pattern]
    features[:, np.isin(encoding.columns, hidden)] = 0
    return features


def _hidden(table: Table, rows: np.ndarray, pattern: Sequence[str]) -> np.ndarray:
    """float32 (n, n_columns) of some rows, with some columns missing."""
    values = table.values[rows].astype(np.float32)
    values[:, [table.schema.column_names.index(name) for name in pattern]] = np.nan
    return values


def _losses(labels: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """The log loss of each (n_repeats, n), over the patients that have a probability."""
    losses = []
    for repeats in probabilities:
        known = [~np.isnan(repeat) for repeat in repeats]
        found = [
            log_loss(labels[rows], repeat[rows][None], np.ones((1, int(rows.sum()))))[0]
            * rows.sum()
            for repeat, rows in zip(repeats, known, strict=True)
            if rows.any()
        ]
        losses.append(float(sum(found) / sum(int(rows.sum()) for rows in known)))
    return losses
