"""The folds of a table, with a preprocessing for each that is fitted once for all models.

Fitting a ColumnTransformer takes as long as fitting ten logistic regressions. Its result is a few
numbers, so every fold keeps these and computes its features from them on request.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from tqdm import tqdm

from model.evaluation import Split, repeated_folds
from model.features import Encoding
from model.schema import Schema
from pipelines.data import Table, build_preprocessing, read_encoding

N_SPLITS = 10
SEED, SECOND_SEED = 20241, 20242
"""Seed of the folds that every evaluation uses, and a second one that confirms the results."""


@dataclass(frozen=True)
class Fold:
    """The data of one fold.

    Attributes:
        number: of the fold, from 0 over all repeats.
        features: float64 (n, n_features), all rows, standardised with the training rows.
        labels: (n,) of 0 and 1.
        groups: (n,), equal for copies of a record.
        train, test: indices of the training rows and of the test rows.
    """

    number: int
    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Folds:
    """All folds of one seed. Every model gets the same folds.

    Attributes:
        splits, encodings: the split and the fitted preprocessing of each fold, ``N_SPLITS`` per
            repeat.
    """

    table: Table
    seed: int
    n_repeats: int
    splits: tuple[Split, ...]
    encodings: tuple[Encoding, ...]

    def __len__(self) -> int:
        return len(self.splits)

    def features(self, number: int) -> np.ndarray:
        """Return float64 (n, n_features), the features of all rows in one fold."""
        return self.encodings[number].encode(self.table.values)

    def fold(self, number: int) -> Fold:
        """Return the data of one fold, small enough to send to another process."""
        train, test = self.splits[number]
        table = self.table
        return Fold(number, self.features(number), table.labels, table.groups, train, test)

    def combine_predictions(self, predictions: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
        """Combine the predictions of all folds.

        Args:
            predictions: pairs of a fold's number and the probabilities of its test rows.

        Returns:
            float64 (n_repeats, n), the out-of-fold probabilities.
        """
        combined = np.full((self.n_repeats, len(self.table)), np.nan)
        for number, probabilities in predictions:
            combined[number // N_SPLITS, self.splits[number][1]] = probabilities
        return combined


FoldPredictor = Callable[[Folds], dict[str, np.ndarray]]
"""Fits models in every fold and returns their out-of-fold probabilities by name.

The shape is (n_repeats, n), or (n_networks, n_repeats, n) for a model that depends on a seed.
"""


def prepare_folds(table: Table, *, seed: int, n_repeats: int, jobs: int = 1) -> Folds:
    """Split a table and fit the preprocessing on the training rows of every fold.

    Raises:
        InvalidConfig: the table has too few records of an outcome for ten folds.
    """
    splits = tuple(
        repeated_folds(
            table.labels, table.groups, n_splits=N_SPLITS, n_repeats=n_repeats, seed=seed
        )
    )
    encodings = fit_encodings(table, [train for train, _ in splits], jobs=jobs)
    return Folds(table, seed, n_repeats, splits, encodings)


def fit_encodings(
    table: Table, training_rows: Sequence[np.ndarray], *, jobs: int = 1
) -> tuple[Encoding, ...]:
    """Fit the preprocessing once for each set of training rows."""
    frame = table.frame
    calls = [(table.schema, frame.iloc[rows]) for rows in training_rows]
    encodings = dict(map_in_processes(_fit_encoding, calls, jobs=jobs, name="preprocessing"))
    return tuple(encodings[number] for number in range(len(training_rows)))


def map_in_processes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], *, jobs: int, name: str
) -> Iterator[tuple[int, Any]]:
    """Call a function many times in several processes with one thread each.

    Args:
        calls: the arguments of each call.
        jobs: number of processes; -1 for one per core.
        name: label of the progress bar, which is shown only if stderr is a terminal.

    Yields:
        The index of a call and its result, in the order in which the calls finish.
    """
    numbered = (
        delayed(_call_numbered)(function, n, arguments) for n, arguments in enumerate(calls)
    )
    with parallel_config(backend="loky", inner_max_num_threads=1):
        finished = Parallel(n_jobs=jobs, return_as="generator_unordered")(numbered)
    yield from tqdm(
        finished, total=len(calls), desc=name, unit="fold", disable=None, file=sys.stderr
    )


def _call_numbered(
    function: Callable[..., Any], number: int, arguments: tuple[Any, ...]
) -> tuple[int, Any]:
    return number, function(*arguments)


def _fit_encoding(schema: Schema, frame: pd.DataFrame) -> Encoding:
    return read_encoding(schema, build_preprocessing(schema).fit(frame))
