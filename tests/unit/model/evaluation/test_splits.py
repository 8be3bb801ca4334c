from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import RepeatedStratifiedKFold

from model.errors import InvalidConfig
from model.evaluation import holdout, repeated_folds
from pipelines.data import Table


def test_without_copies_the_folds_are_scikit_learns(table: Table) -> None:
    folds = list(repeated_folds(table.labels, table.groups, seed=20241))
    reference = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=20241)
    for (train, test), (expected_train, expected_test) in zip(
        folds, reference.split(table.values, table.labels), strict=True
    ):
        np.testing.assert_array_equal(train, expected_train)
        np.testing.assert_array_equal(test, expected_test)
    assert len(folds) == 100


def test_copies_are_never_on_both_sides() -> None:
    draw = np.random.default_rng(0)
    groups = np.concatenate([np.arange(60), draw.integers(0, 60, 40)])
    labels = (groups % 3 == 0).astype(int)
    for seed in range(3):
        folds = list(repeated_folds(labels, groups, n_splits=5, n_repeats=2, seed=seed))
        folds.append(holdout(labels, groups, share=0.2, seed=seed))
        for train, test in folds:
            assert not set(groups[train]) & set(groups[test])
            assert len(train) + len(test) == len(groups)
        for repeat in (folds[:5], folds[5:10]):
            tested = np.concatenate([test for _, test in repeat])
            np.testing.assert_array_equal(np.sort(tested), np.arange(len(groups)))


def test_both_sides_have_both_outcomes(table: Table) -> None:
    train, validation = holdout(table.labels, table.groups, share=0.2, seed=1)
    assert len(validation) == 61
    assert abs(table.labels[validation].mean() - table.labels[train].mean()) < 0.02


def test_too_few_records_are_refused() -> None:
    labels = np.array([0] * 30 + [1] * 9)
    with pytest.raises(InvalidConfig, match="10 different positive records; there are 9"):
        list(repeated_folds(labels, np.arange(39), seed=0))
    with pytest.raises(InvalidConfig, match="validation_fraction"):
        holdout(np.array([0, 0, 1]), np.arange(3), share=0.3, seed=0)
