"""Cost of missing columns in log loss: imputation compared with networks trained without them.

Columns are hidden in all test records of every fold. The predictions with imputed values are
compared with those of a network that was trained on the same rows without these columns. That
network is the best alternative if the missing columns are known before training.
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

N_RANDOM_PATTERNS = 25
MAX_JOBS_PER_ENSEMBLE = 380


class Job(NamedTuple):
    """One network to fit.

    Attributes:
        features: float64 (n, n_features) of all rows; 0 in the features of columns that the network
            is trained without.
        rows: training rows.
        seed: of the initial weights.
    """

    features: np.ndarray
    rows: np.ndarray
    seed: int


FitMany = Callable[[Iterable[Job], np.ndarray, TrainingConfig], Iterator[DenseNetwork]]
"""(jobs, labels (n,), config) → networks, in the order of the jobs."""


def fit_in_ensembles(
    jobs: Iterable[Job], labels: np.ndarray, config: TrainingConfig
) -> Iterator[DenseNetwork]:
    """Fit networks as ensembles of bounded size, so that memory is bounded."""
    # Imported late, because the patterns do not need Keras.
    from model.training import read_layers
    from model.training.ensemble import MemberSpec, fit_ensemble

    jobs = iter(jobs)
    while batch := list(itertools.islice(jobs, MAX_JOBS_PER_ENSEMBLE)):
        tables = np.stack([job.features for job in batch])
        members = [
            MemberSpec(msgspec.structs.replace(config, seed=job.seed), rows=job.rows, table=table)
            for table, job in enumerate(batch)
        ]
        ensemble = fit_ensemble(tables, labels, members)
        for number in range(len(batch)):
            layers = read_layers(ensemble.network(number))
            yield DenseNetwork(layers, tables.shape[2], np.float64)


class Cost(msgspec.Struct, frozen=True):
    """Log losses over all folds with some columns hidden.

    Attributes:
        imputed: with the hidden values imputed.
        refitted: of networks trained without the columns.
    """

    imputed: float
    refitted: float

    @property
    def difference(self) -> float:
        """Log loss that imputation costs; more than a few thousandths points to a bug."""
        return self.imputed - self.refitted


def missing_patterns(schema: Schema, *, seed: int) -> list[tuple[str, ...]]:
    """Return the columns to hide: none, each optional column, and 25 random sets of two or more."""
    names = [schema.column_names[index] for index in optional_columns(schema)]
    draw = np.random.default_rng(seed)
    patterns: list[tuple[str, ...]] = [(), *((name,) for name in names)]
    n_patterns = min(len(patterns) + N_RANDOM_PATTERNS, 2 ** len(names))
    while len(patterns) < n_patterns:
        hidden = draw.random(len(names)) < draw.random()
        pattern = tuple(name for name, is_hidden in zip(names, hidden, strict=True) if is_hidden)
        if pattern not in patterns:
            patterns.append(pattern)
    return patterns


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
    """Compute the cost of each pattern of missing columns on repeated folds.

    Args:
        patterns: names of the columns to hide together; () hides none.
        n_folds: use only the first folds, for a quick trial; all if None.
        fit_many: fits the networks.
    """
    folds = list(_folds(table, seed, n_repeats))[:n_folds]
    networks = fit_many(_jobs(table, folds, config, patterns), table.labels, config)
    imputed = np.full((len(patterns), n_repeats, len(table)), np.nan)
    refitted = imputed.copy()
    for number, fold in enumerate(folds):
        repeat = number // N_SPLITS
        scorer = MissingValueScorer(fold.imputer, next(networks))
        for index, pattern in enumerate(patterns):
            imputed[index, repeat, fold.test] = scorer.probabilities(
                _hide_values(table, fold.test, pattern)
            )
            # Other missing values of the record are filled with their means.
            features = _drop_features(fold.encoding, table, pattern)[fold.test]
            network = next(networks) if pattern else scorer.network
            log_odds = network.log_odds(network.first_layer_sums(features))
            refitted[index, repeat, fold.test] = to_probabilities(log_odds)
    losses = (_losses(table.labels, probabilities) for probabilities in (imputed, refitted))
    return {
        pattern: Cost(*pair)
        for pattern, pair in zip(patterns, zip(*losses, strict=True), strict=True)
    }


@dataclass(frozen=True)
class _Fold:
    train: np.ndarray
    test: np.ndarray
    encoding: Encoding
    imputer: ConditionalGaussianImputer


def _folds(table: Table, seed: int, n_repeats: int) -> Iterator[_Fold]:
    folds = prepare_folds(table, seed=seed, n_repeats=n_repeats)
    columns = optional_columns(table.schema)
    for (train, test), encoding in zip(folds.splits, folds.encodings, strict=True):
        moments = fit_feature_moments(encoding.encode(table.values[train]))
        yield _Fold(train, test, encoding, ConditionalGaussianImputer(moments, encoding, columns))


def _jobs(
    table: Table,
    folds: Sequence[_Fold],
    config: TrainingConfig,
    patterns: Sequence[tuple[str, ...]],
) -> Iterator[Job]:
    """Yield for each fold a job with all columns, then one without those of each other pattern."""
    for number, fold in enumerate(folds):
        seed = config.reseeded(number).seed
        for pattern in ((), *(pattern for pattern in patterns if pattern)):
            yield Job(_drop_features(fold.encoding, table, pattern), fold.train, seed)


def _drop_features(encoding: Encoding, table: Table, pattern: Sequence[str]) -> np.ndarray:
    """Encode all rows with 0 in the features of a pattern's columns, float64 (n, n_features)."""
    features = encoding.encode(table.values)
    hidden = [table.schema.column_names.index(name) for name in pattern]
    features[:, np.isin(encoding.columns, hidden)] = 0
    return features


def _hide_values(table: Table, rows: np.ndarray, pattern: Sequence[str]) -> np.ndarray:
    """Return the values of some rows with a pattern's columns missing, float64 (n, n_columns)."""
    values = table.values[rows].copy()
    values[:, [table.schema.column_names.index(name) for name in pattern]] = np.nan
    return values


def _losses(labels: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """Compute the log loss of each pattern over the patients that have a probability.

    Args:
        probabilities: (n_patterns, n_repeats, n); NaN for patients of folds that were left out.
    """
    losses = []
    for repeats in probabilities:
        is_known = ~np.isnan(repeats)
        p, y = repeats[is_known], np.broadcast_to(labels, repeats.shape)[is_known]
        losses.append(float(log_loss(y, p[None], np.ones((1, len(p))))[0]))
    return losses
