from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from model.evaluation import repeated_folds
from pipelines.data import Table, build_preprocessing
from pipelines.evaluation import prepare_folds
from pipelines.evaluation.folds import Folds, map_in_processes


@pytest.fixture(scope="module")
def folds(table: Table) -> Folds:
    return prepare_folds(table, seed=20241, n_repeats=1)


def test_the_folds_are_those_of_the_seed(table: Table, folds: Folds) -> None:
    expected = repeated_folds(table.labels, table.groups, n_repeats=1, seed=20241)
    for number, (train, test) in enumerate(expected):
        fold = folds.fold(number)
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
    assert len(folds) == 10
    np.testing.assert_array_equal(folds.fold(3).labels, table.labels)


def test_features_equal_those_of_a_preprocessing_fitted_on_the_training_rows(
    table: Table, folds: Folds
) -> None:
    assert np.isnan(table.values).any(), "missing values must be part of this"
    frame = table.frame
    for number in (0, 7):
        train, _ = folds.splits[number]
        fitted = build_preprocessing(table.schema).fit(frame.iloc[train])
        np.testing.assert_array_equal(folds.features(number), fitted.transform(frame))
    assert (folds.features(0) != folds.features(7)).any()


def test_test_rows_do_not_change_features_of_training_rows(table: Table, folds: Folds) -> None:
    train, test = folds.splits[0]
    values = table.values.copy()
    values[test, 0] += 20
    other = prepare_folds(dataclasses.replace(table, values=values), seed=20241, n_repeats=1)
    np.testing.assert_array_equal(other.splits[0][1], test)
    np.testing.assert_array_equal(other.features(0)[train], folds.features(0)[train])
    assert (other.features(1)[train] != folds.features(1)[train]).any()


def test_predictions_of_all_folds_are_combined(table: Table) -> None:
    folds = prepare_folds(table, seed=20241, n_repeats=2)
    predictions = ((n, folds.splits[n][1] + 1000.0 * (n // 10)) for n in reversed(range(20)))
    combined = folds.combine_predictions(predictions)
    np.testing.assert_array_equal(combined, np.arange(303) + np.array([[0.0], [1000.0]]))
    assert np.isnan(folds.combine_predictions([])).all()


def test_results_of_processes_have_the_index_of_the_call() -> None:
    calls = [(number, 2) for number in range(5)]
    assert dict(map_in_processes(pow, calls, jobs=2, name="squares")) == {n: n**2 for n in range(5)}
