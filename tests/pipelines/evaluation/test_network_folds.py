from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from model.evaluation import holdout
from model.training import TrainingConfig
from pipelines.data import Table
from pipelines.evaluation import (
    FoldRows,
    NetworkSpec,
    fit_fold_networks,
    fit_networks,
    prepare_folds,
    train_folds,
)
from pipelines.evaluation.folds import Folds
from pipelines.evaluation.network_folds import split_into_parts
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


def test_folds_are_trained_in_parts_to_limit_memory(folds: Folds) -> None:
    limit = 7 * 303 * 29  # feature values of seven folds
    parts = split_into_parts(folds, limit)
    assert sorted(number for part in parts for number in part) == list(range(20))
    assert [len(part) for part in parts] == [7, 7, 6]
    assert split_into_parts(folds, 1) == [[number] for number in range(20)]
    in_parts = train_folds(folds, SHORT, 1, max_feature_values=limit)
    np.testing.assert_allclose(in_parts, train_folds(folds, SHORT, 1), atol=1e-6)


def test_every_network_predicts_the_test_rows_of_its_own_fold(folds: Folds) -> None:
    """Each fold has its own preprocessing, rows and configurations."""
    rows = [FoldRows(*split) for split in folds.splits[:10]]
    configs = [[seeded(SHORT, number, 0), seeded(SHORT, number, 1)] for number in range(10)]
    networks = fit_fold_networks(folds.table, rows, configs)
    out_of_fold = networks.out_of_fold()
    assert out_of_fold.shape == (2, 1, 303)
    predictions = list(networks.test_predictions())
    for number in (0, 7):
        assert predictions[number].shape == (2, len(rows[number].test))
        for network in range(2):
            expected = fit_alone(folds, configs[number][network], number)
            np.testing.assert_allclose(predictions[number][network], expected, atol=1e-6)
        np.testing.assert_array_equal(out_of_fold[:, 0, rows[number].test], predictions[number])
    assert networks.out_of_fold(n_splits=5).shape == (2, 2, 303)


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


def test_equal_recipes_are_trained_once_and_probabilities_are_averaged(folds: Folds) -> None:
    specs = {
        "one": NetworkSpec(SHORT, 3),
        "mean": NetworkSpec(SHORT, 3, averaged=True),
        "again": NetworkSpec(TrainingConfig(epochs=3), 3),
        "other": NetworkSpec(TrainingConfig(epochs=4), 1),
    }
    predictions = fit_networks(specs)(folds)
    assert predictions["again"] is predictions["one"]
    assert predictions["one"].shape == (3, 2, 303) and predictions["other"].shape == (1, 2, 303)
    assert np.abs(predictions["other"] - predictions["one"][0]).max() > 1e-4
    np.testing.assert_allclose(predictions["mean"], predictions["one"].mean(axis=0))
