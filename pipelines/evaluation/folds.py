"""The folds of a table, with the preprocessing of each fitted once for all models.

Fitting a ColumnTransformer takes as long as fitting ten logistic regressions. What it finds is a
handful of numbers, so every fold keeps those, and makes its features from them when it is asked.
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
"""Seeds of the folds that every evaluation uses, and of those that confirm it."""


@dataclass(frozen=True)
class Fold:
    """One fold, as a model sees it.

    Attributes:
        number: from 0, over all repeats.
        features: float64 (n, n_features) of all rows, standardised by the training rows.
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record.
        train, test: numbers of the rows on either side.
    """

    number: int
    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Folds:
    """All folds of one seed; equal seeds give the same folds to every model.

    Attributes:
        splits, encodings: of each fold, ``N_SPLITS`` a repeat.
    """

    table: Table
    seed: int
    n_repeats: int
    splits: tuple[Split, ...]
    encodings: tuple[Encoding, ...]

    def __len__(self) -> int:
        return len(self.splits)

    def features(self, number: int) -> np.ndarray:
        """float64 (n, n_features): all rows, as the preprocessing of one fold makes them."""
        return self.encodings[number].encode(self.table.values)

    def fold(self, number: int) -> Fold:
        """One fold on its own, small enough to be sent to another process."""
        train, test = self.splits[number]
        table = self.table
        return Fold(number, self.features(number), table.labels, table.groups, train, test)

    def combine_predictions(self, found: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
        """Probabilities of the test rows, by number of the fold → float64 (n_repeats, n)."""
        whole = np.full((self.n_repeats, len(self.table)), np.nan)
        for number, probabilities in found:
            whole[number // N_SPLITS, self.splits[number][1]] = probabilities
        return whole


FoldPredictor = Callable[[Folds], dict[str, np.ndarray]]
"""Fits inside every fold → out-of-fold probabilities by name of the model, (n_repeats, n).

Or (n_networks, n_repeats, n), where a model comes out differently with every seed.
"""


def prepare_folds(table: Table, *, seed: int, n_repeats: int, jobs: int = 1) -> Folds:
    """Split a table and fit the preprocessing on the training side of every fold.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    splits = tuple(
        repeated_folds(
            table.labels, table.groups, n_splits=N_SPLITS, n_repeats=n_repeats, seed=seed
        )
    )
    encodings = fit_encodings(table, [train for train, _ in splits], jobs=jobs)
    return Folds(table, seed, n_repeats, splits, encodings)


def fit_encodings(
    table: Table, sides: Sequence[np.ndarray], *, jobs: int = 1
) -> tuple[Encoding, ...]:
    """Fit the preprocessing of a table's schema on some of its rows, many times."""
    frame = table.frame
    calls = [(table.schema, frame.iloc[rows]) for rows in sides]
    found = dict(map_in_processes(_fit_encoding, calls, jobs=jobs, name="preprocessing"))
    return tuple(found[number] for number in range(len(sides)))


def map_in_processes(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], *, jobs: int, name: str
) -> Iterator[tuple[int, Any]]:
    """Call a function many times in several processes, of one thread each.

    Args:
        calls: its arguments, a tuple a call.
        name: for the progress bar, which is quiet where stderr is no terminal.

    Yields:
        The number of a call and its result, as they are finished.
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
