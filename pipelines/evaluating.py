"""Recipes and baselines on the same folds, with everything fitted inside each fold."""

from __future__ import annotations

import sys
from collections.abc import Callable

import joblib
import msgspec
import numpy as np
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

from model.config import TrainingConfig
from model.evaluation import Evaluation, compare
from model.splits import repeated_folds
from pipelines.devices import select_device
from pipelines.preprocessing import build_preprocessing
from pipelines.tables import Table

SEED = 20241
SECOND_SEED = 20242
N_SPLITS = 10
N_REPEATS = 10
BASELINE = "logistic regression"
BASELINE_C = 0.3

FitPredict = Callable[[Table, np.ndarray, np.ndarray, int], np.ndarray]
"""(table, rows to fit on, rows to predict, number of the fold) → (n,) probabilities."""


def network_recipe(config: TrainingConfig) -> FitPredict:
    """The network of a config; every fold starts from other weights."""

    def fit_predict(table: Table, train: np.ndarray, test: np.ndarray, number: int) -> np.ndarray:
        select_device("auto")  # in a worker process Keras is imported here, and so quietly
        import keras

        from pipelines.fitting import fit_pipeline

        keras.utils.clear_session()  # else a hundred folds keep a hundred graphs
        seed = (config.seed + number) % 2**31
        return fit_pipeline(table, msgspec.structs.replace(config, seed=seed), train).predict(
            table, test
        )

    return fit_predict


def logistic_baseline(table: Table, train: np.ndarray, test: np.ndarray, number: int) -> np.ndarray:
    """Logistic regression with C = 0.3 on the same features."""
    model = make_pipeline(
        build_preprocessing(table.schema), LogisticRegression(C=BASELINE_C, max_iter=2_000)
    )
    model.fit(table.frame.iloc[train], table.labels[train])
    return model.predict_proba(table.frame.iloc[test])[:, 1]


def out_of_fold(
    table: Table,
    fit_predict: FitPredict,
    *,
    name: str,
    seed: int = SEED,
    n_repeats: int = 1,
    jobs: int = 1,
) -> np.ndarray:
    """Out-of-fold probabilities; equal seeds give the same folds to every model.

    Args:
        name: for the progress bar, which is quiet where stderr is no terminal.
        jobs: processes to spread the folds over.

    Returns:
        float64 (n_repeats, n).

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    folds = list(
        repeated_folds(
            table.labels, table.groups, n_splits=N_SPLITS, n_repeats=n_repeats, seed=seed
        )
    )
    calls = (
        delayed(_one_fold)(fit_predict, table, train, test, number)
        for number, (train, test) in enumerate(folds)
    )
    found = np.full((n_repeats, len(table)), np.nan)
    finished = Parallel(n_jobs=jobs, return_as="generator_unordered")(calls)
    for number, probabilities in tqdm(
        finished, total=len(folds), desc=name, unit="fold", disable=None, file=sys.stderr
    ):
        found[number // N_SPLITS, folds[number][1]] = probabilities
    return found


def evaluate(
    table: Table,
    config: TrainingConfig,
    *,
    name: str,
    seed: int = SEED,
    n_repeats: int = N_REPEATS,
    jobs: int = 1,
) -> tuple[Evaluation, np.ndarray]:
    """A recipe beside logistic regression on the same folds.

    Returns:
        The figures, and the recipe's out-of-fold probabilities (n_repeats, n).

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    predictions = {
        label: out_of_fold(
            table, candidate, name=label, seed=seed, n_repeats=n_repeats, jobs=processes
        )
        for label, candidate, processes in (
            (name, network_recipe(config), jobs),
            (BASELINE, logistic_baseline, 1),
        )
    }
    found = compare(table.labels, table.groups, predictions, seed=seed, n_splits=N_SPLITS)
    return found, predictions[name]


def default_jobs(device: str) -> int:
    """Processes for the folds: one a core, but one in all where they would share a GPU."""
    return 1 if device.startswith("gpu") else joblib.cpu_count()


def _one_fold(
    fit_predict: FitPredict, table: Table, train: np.ndarray, test: np.ndarray, number: int
) -> tuple[int, np.ndarray]:
    return number, fit_predict(table, train, test, number)
