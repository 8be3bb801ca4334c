from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.pipeline import make_pipeline

from model.evaluation import log_loss
from pipelines.data import Table, build_preprocessing
from pipelines.evaluation import REFERENCE, baselines, prepare_folds
from pipelines.evaluation.baselines import (
    BASELINES,
    TUNED_C,
    Baseline,
    choose_baselines,
    fit_baselines,
    reference,
    tuned_logistic_regression,
)
from pipelines.evaluation.folds import Fold, Folds

INSTALLED = [b for b in BASELINES if not b.module or importlib.util.find_spec(b.module)]


@pytest.fixture(scope="module")
def folds(table: Table) -> Folds:
    return prepare_folds(table, seed=20241, n_repeats=1)


@pytest.fixture(scope="module")
def fold(folds: Folds) -> Fold:
    return folds.fold(0)


def loss(fold: Fold, probabilities: np.ndarray) -> float:
    rows = fold.test
    return float(log_loss(fold.labels[rows], probabilities[None], np.ones((1, len(rows))))[0])


def test_the_reference_is_logistic_regression_on_the_preprocessing(
    table: Table, folds: Folds
) -> None:
    fold = folds.fold(4)
    model = make_pipeline(build_preprocessing(table.schema), LogisticRegression(C=0.3))
    model.fit(table.frame.iloc[fold.train], table.labels[fold.train])
    expected = model.predict_proba(table.frame.iloc[fold.test])[:, 1]
    np.testing.assert_allclose(reference(fold), expected, atol=1e-6)


@pytest.mark.parametrize("baseline", INSTALLED, ids=lambda b: b.name)
def test_every_baseline_learns_and_is_reproducible(baseline: Baseline, fold: Fold) -> None:
    probabilities = baseline.fit_predict(fold)
    assert probabilities.shape == fold.test.shape
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    correct = (probabilities >= 0.5) == fold.labels[fold.test]
    assert correct.mean() > 0.7
    prevalence = np.full(len(fold.test), fold.labels[fold.train].mean())
    if baseline.name != "decision tree":  # its probabilities are 0 and 1
        assert loss(fold, probabilities) < loss(fold, prevalence) - 0.1
    if not baseline.slow:
        np.testing.assert_array_equal(baseline.fit_predict(fold), probabilities)


@pytest.mark.parametrize("baseline", [b for b in INSTALLED if not b.slow], ids=lambda b: b.name)
def test_no_baseline_uses_the_outcomes_of_the_test_rows(baseline: Baseline, fold: Fold) -> None:
    labels = fold.labels.copy()
    labels[fold.test] = 1 - labels[fold.test]
    other = dataclasses.replace(fold, labels=labels)
    np.testing.assert_array_equal(baseline.fit_predict(other), baseline.fit_predict(fold))


def test_the_penalty_is_the_one_with_the_best_inner_log_loss(fold: Fold) -> None:
    inner = [
        (np.searchsorted(fold.train, train), np.searchsorted(fold.train, test))
        for train, test in baselines.inner_folds(fold)
    ]
    expected_model = LogisticRegressionCV(
        Cs=TUNED_C,
        cv=inner,
        scoring="neg_log_loss",
        max_iter=2_000,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    )
    expected_model.fit(fold.features[fold.train], fold.labels[fold.train])
    expected = expected_model.predict_proba(fold.features[fold.test])[:, 1]
    np.testing.assert_allclose(tuned_logistic_regression(fold), expected, atol=1e-3)


def test_the_penalty_is_strong_for_random_outcomes(fold: Fold) -> None:
    random_labels = np.random.default_rng(0).permutation(fold.labels)
    random_fold = dataclasses.replace(fold, labels=random_labels)
    assert tuned_logistic_regression(random_fold).std() < reference(random_fold).std() / 2


def test_inner_folds_use_training_rows_and_keep_copies_together(fold: Fold) -> None:
    groups = np.arange(303) // 2
    copies = dataclasses.replace(fold, groups=groups)
    tested = []
    for train, test in baselines.inner_folds(copies):
        assert not set(groups[train]) & set(groups[test])
        np.testing.assert_array_equal(np.sort([*train, *test]), fold.train)
        tested += test.tolist()
    assert sorted(tested) == fold.train.tolist()


def test_skipped_baselines_have_a_reason() -> None:
    quick = Baseline("quick", reference)
    slow = Baseline("slow", reference, slow=True)
    installed = Baseline("installed", reference, module="numpy", package="numpy")
    absent = Baseline("absent", reference, slow=True, module="no_such", package="no-such-package")
    not_installed = {"absent": "the package no-such-package is not installed"}
    chosen, skipped = choose_baselines((quick, slow, installed, absent), slow=False)
    assert chosen == (quick, installed)
    assert skipped == {"slow": "slow; --all-baselines adds it"} | not_installed
    chosen, skipped = choose_baselines((quick, slow, installed, absent), slow=True)
    assert chosen == (quick, slow, installed) and skipped == not_installed


def test_the_quick_baselines_are_the_default() -> None:
    chosen, skipped = choose_baselines(slow=False)
    assert chosen[0].name == REFERENCE and not any(b.slow for b in chosen)
    assert {b.name for b in chosen} | set(skipped) == {b.name for b in BASELINES}
    assert {"gradient boosting, tuned", "explainable boosting machine"} <= set(skipped)
    chosen, _ = choose_baselines(slow=True)
    assert "gradient boosting, tuned" in {b.name for b in chosen}


def test_baselines_fitted_in_processes_predict_every_row(folds: Folds) -> None:
    chosen = [b for b in BASELINES if b.name in (REFERENCE, "decision tree")]
    predictions = fit_baselines(chosen, jobs=2)(folds)
    assert list(predictions) == [b.name for b in chosen]
    for baseline in chosen:
        assert predictions[baseline.name].shape == (1, 303)
        for number in (0, 9):
            rows = folds.splits[number][1]
            expected = baseline.fit_predict(folds.fold(number))
            np.testing.assert_allclose(predictions[baseline.name][0, rows], expected, atol=1e-9)
