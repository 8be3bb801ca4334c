"""Training of a recipe's networks on all folds and seeds, in one program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from model.evaluation import holdout
from model.training import TrainingConfig
from model.training.ensemble import MemberSpec, fit_ensemble
from pipelines.evaluation.folds import N_SPLITS, FoldPredictor, Folds, fit_encodings

MAX_FEATURE_VALUES = 100_000_000
"""Largest number of feature values of the folds that are trained at once: 400 MB in float32."""


class NetworkSpec(NamedTuple):
    """A recipe and the number of its networks in every fold, which differ only in their seeds.

    Attributes:
        averaged: True to average the probabilities of the networks into one model. Otherwise the
            metrics are computed for each network and then averaged.
    """

    config: TrainingConfig
    n_networks: int = 10
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
    folds: Folds, config: TrainingConfig, n_networks: int, *, name: str = ""
) -> np.ndarray:
    """Train several networks in every fold, each with its own seed.

    The first network of fold k equals a single fit with k added to both seeds of the configuration.
    The validation rows are set aside first, the same for all networks of a fold, so the
    preprocessing is not fitted on them either.

    Args:
        name: label of the progress bar; empty for none.

    Returns:
        float64 (n_networks, n_repeats, n), out-of-fold probabilities.
    """
    row_splits = [_split_validation_rows(folds, config, number) for number in range(len(folds))]
    if config.validation_fraction:
        encodings = fit_encodings(folds.table, [rows for rows, _ in row_splits])
        folds = dataclasses.replace(folds, encodings=encodings)
    n_rows, n_features = len(folds.table), len(folds.table.schema.feature_names)
    n_parts = -(-len(folds) * n_rows * n_features // MAX_FEATURE_VALUES)
    predictions = np.empty((n_networks, folds.n_repeats, n_rows))
    for numbers in np.array_split(np.arange(len(folds)), min(n_parts, len(folds))):
        tables = np.stack([folds.features(number) for number in numbers])
        # The networks of one fold see the same batches.
        members = [
            MemberSpec(
                config.reseeded(number + network * len(folds), number),
                rows,
                validation_rows=validation_rows,
                table=table,
            )
            for table, number in enumerate(numbers)
            for rows, validation_rows in [row_splits[number]]
            for network in range(n_networks)
        ]
        ensemble = fit_ensemble(tables, folds.table.labels, members, progress=name)
        all_probabilities = ensemble.predict(tables).reshape(len(numbers), n_networks, n_rows)
        for number, probabilities in zip(numbers, all_probabilities, strict=True):
            test = folds.splits[number][1]
            predictions[:, number // N_SPLITS, test] = probabilities[:, test]
    return predictions


def _split_validation_rows(
    folds: Folds, config: TrainingConfig, number: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the rows of a fold to fit on and its validation rows, if there are any."""
    train, _ = folds.splits[number]
    if not config.validation_fraction:
        return train, None
    labels, groups = folds.table.labels[train], folds.table.groups[train]
    seed = config.reseeded(number).seed
    rows, validation_rows = holdout(labels, groups, share=config.validation_fraction, seed=seed)
    return train[rows], train[validation_rows]
