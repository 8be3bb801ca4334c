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
from pipelines.evaluation import NetworkSpec, fit_networks, prepare_folds
from pipelines.evaluation import network_folds as networks
from pipelines.evaluation.folds import Folds
from pipelines.evaluation.network_folds import train_folds
from pipelines.fitted_pipeline import fit_pipeline

SHORT = TrainingConfig(epochs=3)


@pytest.fixture(scope="module")
def folds(table: Table) -> Folds:
    return prepare_folds(table, seed=20241, n_repeats=2)


def alone(folds: Folds, config: TrainingConfig, number: int) -> np.ndarray:
    """What a network that is fitted by itself says of the test side of a fold."""
    train, test = folds.splits[number]
    return fit_pipeline(folds.table, config, train).predict(folds.table, test)


def seeded(config: TrainingConfig, seed: int, shuffle_seed: int) -> TrainingConfig:
    return msgspec.structs.replace(config, seed=seed, shuffle_seed=shuffle_seed)


def test_the_networks_of_all_folds_are_those_of_lone_fits(folds: Folds) -> None:
    config = seeded(SHORT, 7, 3)
    found = train_folds(folds, config, 2)
    assert found.shape == (2, 2, 303) and not np.isnan(found).any()
    for number, network in ((0, 0), (14, 1)):
        own = seeded(config, 7 + number + 20 * network, 3 + number)
        there = found[network, number // 10, folds.splits[number][1]]
        np.testing.assert_allclose(there, alone(folds, own, number), atol=1e-6)
    assert np.abs(found[0] - found[1]).mean() > 1e-3, "their first weights differ"


def test_folds_that_do_not_fit_into_memory_together_are_trained_in_parts(
    folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_folds(folds, SHORT, 1)
    sizes = []

    def counted(tables: np.ndarray, *arguments: Any, **named: Any) -> Any:
        sizes.append(len(tables))
        return fit_ensemble(tables, *arguments, **named)

    monkeypatch.setattr(networks, "fit_ensemble", counted)
    monkeypatch.setattr(networks, "MAX_FEATURE_VALUES", 7 * 303 * 29)
    np.testing.assert_allclose(train_folds(folds, SHORT, 1), whole, atol=1e-6)
    assert sum(sizes) == 20 and max(sizes) <= 7


def test_a_validation_share_is_neither_fitted_on_nor_standardised_by(table: Table) -> None:
    config = msgspec.structs.replace(SHORT, validation_fraction=0.2)
    folds = prepare_folds(table, seed=20241, n_repeats=1)
    found = train_folds(folds, config, 1)[0]
    train, test = folds.splits[0]
    np.testing.assert_allclose(found[0, test], alone(folds, config, 0), atol=1e-6)
    # What the network looks at only must not move its features: here is one such row, changed.
    _, held = holdout(table.labels[train], table.groups[train], share=0.2, seed=0)
    values = table.values.copy()
    values[train[held[0]], 4] += 100
    changed = dataclasses.replace(folds, table=dataclasses.replace(table, values=values))
    np.testing.assert_allclose(
        train_folds(changed, config, 1)[0][0, test], found[0, test], atol=1e-6
    )


def test_no_recipe_is_trained_twice_and_averages_are_of_probabilities(
    folds: Folds, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def drawn(_: Folds, config: TrainingConfig, n_networks: int, *, name: str) -> np.ndarray:
        asked.append((config.epochs, n_networks, name))
        return np.random.default_rng(config.epochs).uniform(size=(n_networks, 2, 303))

    monkeypatch.setattr(networks, "train_folds", drawn)
    named = {
        "one": NetworkSpec(SHORT, 10),
        "mean": NetworkSpec(SHORT, 10, averaged=True),
        "other": NetworkSpec(TrainingConfig(epochs=4), 1),
    }
    found = fit_networks(named)(folds)
    assert asked == [(3, 10, "one"), (4, 1, "other")]
    assert found["one"].shape == (10, 2, 303) and found["other"].shape == (1, 2, 303)
    np.testing.assert_allclose(found["mean"], found["one"].mean(axis=0))
