"""Recipes on the folds: the networks of all folds and seeds, trained in one program."""

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
"""Features of all folds that are trained at once: 400 MB in float32."""


class NetworkSpec(NamedTuple):
    """A recipe, and how many networks of it are trained in every fold, equal but for their seeds.

    Attributes:
        averaged: whether their probabilities are averaged, as one model; else each of them is
            one, and what is reported is the mean of their figures, of one network by itself.
    """

    config: TrainingConfig
    n_networks: int = 10
    averaged: bool = False


def fit_networks(named: Mapping[str, NetworkSpec]) -> FoldPredictor:
    """Networks to evaluate, by the name under which they are shown; no recipe is trained twice."""

    def predict(folds: Folds) -> dict[str, np.ndarray]:
        trained: dict[tuple[bytes, int], np.ndarray] = {}
        found = {}
        for name, (config, n_networks, averaged) in named.items():
            key = (msgspec.json.encode(config), n_networks)
            if key not in trained:
                trained[key] = train_folds(folds, config, n_networks, name=name)
            found[name] = trained[key].mean(axis=0) if averaged else trained[key]
        return found

    return predict


def train_folds(
    folds: Folds, config: TrainingConfig, n_networks: int, *, name: str = ""
) -> np.ndarray:
    """Train several networks in every fold, no two of them with equal seeds.

    The first of fold k is what a lone fit of the config gives with k added to both its seeds. A
    validation share is set aside first, the same for all networks of a fold, so that the
    preprocessing does not see it either.

    Args:
        name: of the progress bar; empty for none.

    Returns:
        float64 (n_networks, n_repeats, n): out-of-fold probabilities.
    """
    sides = [_split_validation_rows(folds, config, number) for number in range(len(folds))]
    if config.validation_fraction:
        encodings = fit_encodings(folds.table, [rows for rows, _ in sides])
        folds = dataclasses.replace(folds, encodings=encodings)
    n_rows, n_features = len(folds.table), len(folds.table.schema.feature_names)
    n_parts = -(-len(folds) * n_rows * n_features // MAX_FEATURE_VALUES)
    found = np.empty((n_networks, folds.n_repeats, n_rows))
    for numbers in np.array_split(np.arange(len(folds)), min(n_parts, len(folds))):
        tables = np.stack([folds.features(number) for number in numbers])
        # The networks of one fold see the same batches.
        members = [
            MemberSpec(
                config.reseeded(number + network * len(folds), number),
                rows,
                validation_rows=held,
                table=table,
            )
            for table, number in enumerate(numbers)
            for rows, held in [sides[number]]
            for network in range(n_networks)
        ]
        ensemble = fit_ensemble(tables, folds.table.labels, members, progress=name)
        everywhere = ensemble.predict(tables).reshape(len(numbers), n_networks, n_rows)
        for number, probabilities in zip(numbers, everywhere, strict=True):
            test = folds.splits[number][1]
            found[:, number // N_SPLITS, test] = probabilities[:, test]
    return found


def _split_validation_rows(
    folds: Folds, config: TrainingConfig, number: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of a fold to fit on, and those that are only looked at."""
    train, _ = folds.splits[number]
    if not config.validation_fraction:
        return train, None
    labels, groups = folds.table.labels[train], folds.table.groups[train]
    seed = config.reseeded(number).seed
    rows, held = holdout(labels, groups, share=config.validation_fraction, seed=seed)
    return train[rows], train[held]
