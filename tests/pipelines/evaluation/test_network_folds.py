from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

from model.evaluation import holdout
from model.training import TrainingConfig
from model.training.ensemble import fit_ensemble
from pipelines.data import Table
from pipelines.evaluation import NetworkSpec, fit_networks, network_folds, prepare_folds
from pipelines.evaluation.folds import Folds
from pipelines.evaluation.network_folds import train_folds
from pipelines.fitted_pipeline import fit_pipeline

SHORT = TrainingConfig(epochs=3)


@pytest.fixture(scope="module")
def folds(table: Table) -> Folds:
    return prepare_folds(table, seed=20241, n_repeats=2)


def fit_alone(folds: Folds, config: TrainingConfig, number: int) -> np.ndarray:
    """Return the test predictions of a network that is fitted by itself in a fold."""
    train, test = folds.splits[number]
    return fit_pipeline(folds.table, config, train).predict(folds.table, test)


def seeded(config: TrainingConfig, seed: int, shuffle_seed: int) -> TrainingConfig:
    return msgspec.structs.replace(config, seed=seed, shuffle_seed=shuffle_seed)


def test_the_networks_of_all_folds_equal_single_fits(folds: Folds) -> None:
    config = seeded(SHORT, 7, 3)
    probabilities = train_folds(folds, config, 2)
    assert probabilities.shape == (2, 2, 303) and not np.isnan(probabilities).any()
    for number, network in ((0, 0), (14, 1)):
        single = seeded(config, 7 + number + 20 * network, 3 + number)
        actual = probabilities[network, number // 10, folds.splits[number][1]]
        np.testing.assert_allclose(actual, fit_alone(folds, single, number), atol=1e-6)
    assert np.abs(probabilities[0] - probabilities[1]).mean() > 1e-3, "their initial weights differ"


def test_folds_are_trained_in_parts_to_limit_memory(
    folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train_folds(folds, SHORT, 1)
    sizes = []

    def count_tables(tables: np.ndarray, *arguments: Any, **keywords: Any) -> Any:
        sizes.append(len(tables))
        return fit_ensemble(tables, *arguments, **keywords)

    monkeypatch.setattr(network_folds, "fit_ensemble", count_tables)
    monkeypatch.setattr(network_folds, "MAX_FEATURE_VALUES", 7 * 303 * 29)
    np.testing.assert_allclose(train_folds(folds, SHORT, 1), expected, atol=1e-6)
    assert sum(sizes) == 20 and max(sizes) <= 7


def test_validation_rows_affect_neither_the_fit_nor_the_preprocessing(table: Table) -> None:
    config = msgspec.structs.replace(SHORT, validation_fraction=0.2)
    folds = prepare_folds(table, seed=20241, n_repeats=1)
    probabilities = train_folds(folds, config, 1)[0]
    train, test = folds.splits[0]
    np.testing.assert_allclose(probabilities[0, test], fit_alone(folds, config, 0), atol=1e-6)
    # Changing a validation row must not change the features of the others.
    _, validation_rows = holdout(table.labels[train], table.groups[train], share=0.2, seed=0)
    values = table.values.copy()
    values[train[validation_rows[0]], 4] += 100
    changed = dataclasses.replace(folds, table=dataclasses.replace(table, values=values))
    np.testing.assert_allclose(
        train_folds(changed, config, 1)[0][0, test], probabilities[0, test], atol=1e-6
    )


def test_equal_recipes_are_trained_once_and_probabilities_are_averaged(
    folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def draw_predictions(
        _: Folds, config: TrainingConfig, n_networks: int, *, name: str
    ) -> np.ndarray:
        calls.append((config.epochs, n_networks, name))
        return np.random.default_rng(config.epochs).uniform(size=(n_networks, 2, 303))

    monkeypatch.setattr(network_folds, "train_folds", draw_predictions)
    specs = {
        "one": NetworkSpec(SHORT, 10),
        "mean": NetworkSpec(SHORT, 10, averaged=True),
        "other": NetworkSpec(TrainingConfig(epochs=4), 1),
    }
    predictions = fit_networks(specs)(folds)
    assert calls == [(3, 10, "one"), (4, 1, "other")]
    assert predictions["one"].shape == (10, 2, 303) and predictions["other"].shape == (1, 2, 303)
    np.testing.assert_allclose(predictions["mean"], predictions["one"].mean(axis=0))
