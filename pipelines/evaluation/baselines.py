"""Baselines: other kinds of model, fitted on the same features of the same folds as a network.

Each has few settings, which are written here and were chosen without test data. The baselines use
scikit-learn's default settings unless they say otherwise. Those named *tuned* select settings by
the cross-validated log loss inside the training rows of every fold. Their features are standardised
with all training rows, in this inner cross-validation too, which reveals no outcome.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from model.evaluation import Split, log_loss, repeated_folds
from pipelines.evaluation.folds import Fold, FoldPredictor, Folds, map_in_processes

REFERENCE = "logistic regression"
REFERENCE_C = 0.3
TUNED_C = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Inverse penalty strengths to select from."""

N_INNER_FOLDS = 5
N_TREES = 100
TUNED_DEPTHS = (1, 2, 3)
TUNED_N_ESTIMATORS = tuple(range(20, 401, 20))
TUNED_LEARNING_RATE = 0.05
TUNED_SUBSAMPLE = 0.5


@dataclass(frozen=True)
class Baseline:
    """A baseline model.

    Attributes:
        fit_predict: fits on a fold's training rows and returns (n_test,) probabilities.
        slow: takes more than 0.25 seconds per fold, so it is fitted only on request.
        module, package: optional dependency, as Python and as pip name it. The project does not
            install it.
    """

    name: str
    fit_predict: Callable[[Fold], np.ndarray]
    slow: bool = False
    module: str = ""
    package: str = ""


def reference(fold: Fold) -> np.ndarray:
    """Fit logistic regression with C = 0.3, the reference of every comparison."""
    return _fit_and_predict(LogisticRegression(C=REFERENCE_C, max_iter=2_000), fold)


def tuned_logistic_regression(fold: Fold) -> np.ndarray:
    """Fit logistic regression with a penalty selected inside the fold."""
    losses = np.zeros(len(TUNED_C))
    for train, test in inner_folds(fold):
        # The warm start uses the solution of the previous C, which is close.
        model = LogisticRegression(solver="newton-cholesky", warm_start=True)
        for choice, c in enumerate(TUNED_C):
            model.set_params(C=c).fit(fold.features[train], fold.labels[train])
            probabilities = model.predict_proba(fold.features[test])[:, 1]
            losses[choice] += _summed_loss(fold, test, probabilities)
    best = TUNED_C[int(losses.argmin())]
    return _fit_and_predict(LogisticRegression(C=best, solver="newton-cholesky"), fold)


def decision_tree(fold: Fold) -> np.ndarray:
    """Fit one tree, grown until its leaves are pure, so its probabilities are 0 and 1."""
    return _fit_and_predict(DecisionTreeClassifier(random_state=fold.number), fold)


def random_forest(fold: Fold) -> np.ndarray:
    """Fit trees on bootstrap samples (Breiman, 2001), with at least three patients per leaf."""
    model = RandomForestClassifier(N_TREES, min_samples_leaf=3, random_state=fold.number)
    return _fit_and_predict(model, fold)


def extra_trees(fold: Fold) -> np.ndarray:
    """Fit trees with random cuts (Geurts and others, 2006), at least three patients per leaf."""
    model = ExtraTreesClassifier(N_TREES, min_samples_leaf=3, random_state=fold.number)
    return _fit_and_predict(model, fold)


def gradient_boosting(fold: Fold) -> np.ndarray:
    """Fit boosted trees (Friedman, 2001) at scikit-learn's defaults: 100 of depth 3, rate 0.1."""
    return _fit_and_predict(GradientBoostingClassifier(random_state=fold.number), fold)


def tuned_gradient_boosting(fold: Fold) -> np.ndarray:
    """Fit stochastic gradient boosting (Friedman, 2002); select depth and number of trees."""

    def build(depth: int, stages: int) -> GradientBoostingClassifier:
        return GradientBoostingClassifier(
            n_estimators=stages,
            learning_rate=TUNED_LEARNING_RATE,
            max_depth=depth,
            subsample=TUNED_SUBSAMPLE,
            max_features="sqrt",
            random_state=fold.number,
        )

    losses = np.zeros((len(TUNED_DEPTHS), len(TUNED_N_ESTIMATORS)))
    for train, test in inner_folds(fold):
        for choice, depth in enumerate(TUNED_DEPTHS):
            model = build(depth, TUNED_N_ESTIMATORS[-1])
            model.fit(fold.features[train], fold.labels[train])
            for stage, probabilities in enumerate(model.staged_predict_proba(fold.features[test])):
                if stage + 1 in TUNED_N_ESTIMATORS:
                    loss = _summed_loss(fold, test, probabilities[:, 1])
                    losses[choice, TUNED_N_ESTIMATORS.index(stage + 1)] += loss
    best_depth, best_stage = np.unravel_index(losses.argmin(), losses.shape)
    return _fit_and_predict(build(TUNED_DEPTHS[best_depth], TUNED_N_ESTIMATORS[best_stage]), fold)


def support_vectors(fold: Fold) -> np.ndarray:
    """Fit a support vector machine with a Gaussian kernel and Platt scaling (Platt, 1999)."""
    # The sigmoid is fitted to margins from inner folds, the SVM to all training rows.
    inner = [
        (np.searchsorted(fold.train, train), np.searchsorted(fold.train, test))
        for train, test in inner_folds(fold)
    ]
    return _fit_and_predict(
        CalibratedClassifierCV(SVC(), method="sigmoid", cv=inner, ensemble=False), fold
    )


def explainable_boosting(fold: Fold) -> np.ndarray:
    """Fit boosted curves, one per feature (Nori and others, 2019).

    Pairwise interactions are off, because they are less accurate on such a small table and much
    slower.
    """
    build = importlib.import_module("interpret.glassbox").ExplainableBoostingClassifier
    return _fit_and_predict(build(interactions=0, n_jobs=1, random_state=fold.number), fold)


BASELINES = (
    Baseline(REFERENCE, reference),
    Baseline("logistic regression, tuned", tuned_logistic_regression),
    Baseline("decision tree", decision_tree),
    Baseline("random forest", random_forest),
    Baseline("extra trees", extra_trees),
    Baseline("gradient boosting", gradient_boosting),
    Baseline("gradient boosting, tuned", tuned_gradient_boosting, slow=True),
    Baseline("SVM, RBF kernel", support_vectors),
    Baseline(
        "explainable boosting machine",
        explainable_boosting,
        slow=True,
        module="interpret",
        package="interpret-core",
    ),
)


def choose_baselines(
    baselines: Sequence[Baseline] = BASELINES, *, slow: bool
) -> tuple[tuple[Baseline, ...], dict[str, str]]:
    """Return the baselines to fit, and the skipped ones by name with the reason."""
    skipped = {}
    for baseline in baselines:
        if baseline.module and importlib.util.find_spec(baseline.module) is None:
            skipped[baseline.name] = f"the package {baseline.package} is not installed"
        elif baseline.slow and not slow:
            skipped[baseline.name] = "slow; --all-baselines adds it"
    return tuple(b for b in baselines if b.name not in skipped), skipped


def fit_baselines(baselines: Sequence[Baseline], *, jobs: int = 1) -> FoldPredictor:
    """Return a function that fits baselines on folds; each process fits all of one fold.

    Args:
        jobs: number of processes; -1 for one per core.
    """

    def predict(folds: Folds) -> dict[str, np.ndarray]:
        calls = [(baselines, folds.fold(number)) for number in range(len(folds))]
        finished = list(map_in_processes(_fit_all, calls, jobs=jobs, name="baselines"))
        return {
            baseline.name: folds.combine_predictions(
                (number, probabilities[index]) for number, probabilities in finished
            )
            for index, baseline in enumerate(baselines)
        }

    return predict


def _fit_all(baselines: Sequence[Baseline], fold: Fold) -> list[np.ndarray]:
    # Validating the arguments of thousands of small fits takes a tenth of the time.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        return [baseline.fit_predict(fold) for baseline in baselines]


def _fit_and_predict(model: Any, fold: Fold) -> np.ndarray:
    """Fit a scikit-learn classifier on the training rows and predict the test rows."""
    model.fit(fold.features[fold.train], fold.labels[fold.train])
    return model.predict_proba(fold.features[fold.test])[:, 1]


def inner_folds(fold: Fold) -> Iterator[Split]:
    """Yield folds of the training rows, as row indices of the whole table; copies stay together."""
    labels, groups = fold.labels[fold.train], fold.groups[fold.train]
    inner = repeated_folds(labels, groups, n_splits=N_INNER_FOLDS, n_repeats=1, seed=fold.number)
    for train, test in inner:
        yield fold.train[train], fold.train[test]


def _summed_loss(fold: Fold, rows: np.ndarray, probabilities: np.ndarray) -> float:
    weights = np.ones((1, len(rows)))
    return len(rows) * float(log_loss(fold.labels[rows], probabilities[None], weights)[0])
