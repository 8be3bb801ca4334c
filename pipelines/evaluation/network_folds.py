"""Networks trained on folds, in one program.

:func:`fit_fold_networks` is the only place that trains networks on folds. Evaluation, tuning, the
report and the course call it with their own rows and configurations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from model.evaluation import holdout
from model.features import Encoding
from model.training import PROBABILITY_HEAD, Head, TrainingConfig
from model.training.ensemble import Ensemble, MemberSpec, fit_ensemble
from pipelines.data import Table
from pipelines.evaluation.folds import N_SPLITS, FoldPredictor, Folds, fit_encodings

N_NETWORKS = 10
"""Networks of a recipe in every fold, unless stated otherwise."""
MAX_FEATURE_VALUES = 100_000_000
"""Largest number of feature values of the folds that are trained at once: 400 MB in float32."""


class FoldRows(NamedTuple):
    """The rows of a table that a fold uses, as indices.

    Attributes:
        train: rows that the preprocessing and the networks are fitted on.
        test: rows that the networks predict.
        validation: rows whose loss is computed after every epoch; None for none.
    """

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray | None = None


@dataclass(frozen=True)
class FoldNetworks:
    """Networks trained on folds, the same number in every fold.

    Attributes:
        rows: the rows of each fold.
        encodings: the preprocessing of each fold.
        ensemble: the networks, fold by fold.
    """

    table: Table
    rows: Sequence[FoldRows]
    encodings: Sequence[Encoding]
    ensemble: Ensemble

    def predict(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Return what each fold's networks predict for that fold's values.

        Args:
            values: one array (m, n_columns) per fold, with the same m for all folds.

        Returns:
            float64 (n_folds, n_networks, m), or (n_folds, n_networks, m, n_outputs) for a head of
            several units.
        """
        features = [e.encode(part) for e, part in zip(self.encodings, values, strict=True)]
        predictions = self.ensemble.predict(np.stack(features))
        return predictions.reshape(len(self.rows), -1, *predictions.shape[1:])

    def test_predictions(self) -> Iterator[np.ndarray]:
        """Yield the predictions for the test rows of each fold, (n_networks, n_test, ...)."""
        predictions = self.predict([self.table.values] * len(self.rows))
        for fold, of_fold in zip(self.rows, predictions, strict=True):
            yield of_fold[:, fold.test]

    def out_of_fold(self, n_splits: int = N_SPLITS) -> np.ndarray:
        """Return the predictions for every row by networks that were not trained on it.

        Args:
            n_splits: number of consecutive folds that test each row once: one repeat.

        Returns:
            float64 (n_networks, n_repeats, n, ...).
        """
        repeats: list[np.ndarray] = []
        for number, predictions in enumerate(self.test_predictions()):
            if number % n_splits == 0:
                shape = len(predictions), len(self.table), *predictions.shape[2:]
                repeats.append(np.full(shape, np.nan))
            repeats[-1][:, self.rows[number].test] = predictions
        return np.stack(repeats, axis=1)


def fit_fold_networks(
    table: Table,
    rows: Sequence[FoldRows],
    configs: Sequence[Sequence[TrainingConfig]],
    *,
    encodings: Sequence[Encoding] | None = None,
    labels: np.ndarray | None = None,
    head: Head = PROBABILITY_HEAD,
    progress: str = "",
) -> FoldNetworks:
    """Fit networks on the training rows of every fold.

    Args:
        rows: the rows of each fold.
        configs: for each fold, the configuration of each of its networks; the same number for all
            folds. Networks of a fold with equal shuffle seeds see the same batches.
        encodings: the preprocessing of each fold; fitted on the training rows if None.
        labels: labels in the form that the head takes; those of the table if None.
        head: the output layer of all networks.
        progress: label of the progress bar; empty for none.
    """
    if encodings is None:
        encodings = fit_encodings(table, [fold.train for fold in rows])
    members = [
        MemberSpec(config, fold.train, validation_rows=fold.validation, table=number)
        for number, (fold, of_fold) in enumerate(zip(rows, configs, strict=True))
        for config in of_fold
    ]
    features = np.stack([encoding.encode(table.values) for encoding in encodings])
    labels = table.labels if labels is None else labels
    ensemble = fit_ensemble(features, labels, members, head=head, progress=progress)
    return FoldNetworks(table, rows, encodings, ensemble)


class NetworkSpec(NamedTuple):
    """A recipe and the number of its networks in every fold, which differ only in their seeds.

    Attributes:
        averaged: True to average the probabilities of the networks into one model. Otherwise the
            metrics are computed for each network and then averaged.
    """

    config: TrainingConfig
    n_networks: int = N_NETWORKS
    averaged: bool = False


def fit_networks(specs: Mapping[str, NetworkSpec]) -> FoldPredictor:
    """Return a function that trains networks on folds; equal recipes are trained only once.

    Args:
        specs: by the name under which the networks are shown.
    """

    def predict(folds: Folds) -> dict[str, np.ndarray]:
        trained: dict[tuple[bytes, int], np.ndarray] = {}
        predictions = {}
        for name, (config, n_networks, averaged) in specs.items():
            key = (msgspec.json.encode(config), n_networks)
            if key not in trained:
                trained[key] = train_folds(folds, config, n_networks, name=name)
            predictions[name] = trained[key].mean(axis=0) if averaged else trained[key]
        return predictions

    return predict


def train_folds(
    folds: Folds,
    config: TrainingConfig,
    n_networks: int = N_NETWORKS,
    *,
    name: str = "",
    max_feature_values: int = MAX_FEATURE_VALUES,
) -> np.ndarray:
    """Train several networks of a recipe in every fold, each with its own seed.

    The first network of fold k equals a single fit with k added to both seeds of the configuration.
    The validation rows are set aside first, the same for all networks of a fold, so the
    preprocessing is not fitted on them either.

    Args:
        name: label of the progress bar; empty for none.
        max_feature_values: as :func:`split_into_parts` takes it.

    Returns:
        float64 (n_networks, n_repeats, n), out-of-fold probabilities.
    """
    rows = [_split_validation_rows(folds, config, number) for number in range(len(folds))]
    encodings = folds.encodings
    if config.validation_fraction:
        encodings = fit_encodings(folds.table, [fold.train for fold in rows])
    predictions = np.empty((n_networks, folds.n_repeats, len(folds.table)))
    for numbers in split_into_parts(folds, max_feature_values):
        networks = fit_fold_networks(
            folds.table,
            [rows[number] for number in numbers],
            # The networks of one fold see the same batches.
            [
                [config.reseeded(number + k * len(folds), number) for k in range(n_networks)]
                for number in numbers
            ],
            encodings=[encodings[number] for number in numbers],
            progress=name,
        )
        for number, probabilities in zip(numbers, networks.test_predictions(), strict=True):
            predictions[:, number // N_SPLITS, rows[number].test] = probabilities
    return predictions


def split_into_parts(folds: Folds, max_feature_values: int) -> list[list[int]]:
    """Divide the numbers of the folds into parts that are trained one after another.

    Args:
        max_feature_values: largest number of feature values of all folds of a part; a part has at
            least one fold.
    """
    values_per_fold = len(folds.table) * len(folds.table.schema.feature_names)
    folds_per_part = max(1, max_feature_values // values_per_fold)
    n_parts = -(-len(folds) // folds_per_part)
    return [part.tolist() for part in np.array_split(range(len(folds)), n_parts)]


def _split_validation_rows(folds: Folds, config: TrainingConfig, number: int) -> FoldRows:
    """Return the rows of a fold, with a part of its training rows for validation if needed."""
    train, test = folds.splits[number]
    if not config.validation_fraction:
        return FoldRows(train, test)
    labels, groups = folds.table.labels[train], folds.table.groups[train]
    seed = config.reseeded(number).seed
    rows, validation_rows = holdout(labels, groups, share=config.validation_fraction, seed=seed)
    return FoldRows(train[rows], test, train[validation_rows])
