"""Recipes and baselines on the same folds, with everything fitted inside each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.evaluation import ModelComparison, compare
from model.training import RECIPES, TrainingConfig
from pipelines.data import Table
from pipelines.evaluation.baselines import BASELINES, REFERENCE, choose_baselines, fit_baselines
from pipelines.evaluation.folds import SEED, FoldPredictor, prepare_folds
from pipelines.evaluation.network_folds import NetworkSpec, fit_networks

N_REPEATS = 10


def cross_validate(
    table: Table,
    predictors: Sequence[FoldPredictor],
    *,
    seed: int = SEED,
    n_repeats: int = N_REPEATS,
    jobs: int = 1,
    left_out: Mapping[str, str] | None = None,
) -> tuple[ModelComparison, dict[str, np.ndarray]]:
    """Several models on the same folds, each beside logistic regression.

    Args:
        predictors: the first of what the first one predicts is what the evaluation is about;
            logistic regression must be among them.
        left_out: names of models that are not evaluated, with the reason, for the record.

    Returns:
        The figures, and the out-of-fold probabilities by name.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    folds = prepare_folds(table, seed=seed, n_repeats=n_repeats, jobs=jobs)
    predictions: dict[str, np.ndarray] = {}
    for predict in predictors:
        predictions |= predict(folds)
    found = compare(
        table.labels,
        table.groups,
        predictions,
        seed=seed,
        n_splits=len(folds) // n_repeats,
        baseline=REFERENCE,
        skipped_models=left_out,
    )
    return found, predictions


def evaluate_recipe(
    table: Table, config: TrainingConfig, *, name: str, n_repeats: int = 1
) -> tuple[ModelComparison, dict[str, np.ndarray]]:
    """What one network of a recipe is worth, quickly, beside logistic regression alone.

    Returns:
        The figures, and the out-of-fold probabilities by name: of the networks (n_networks,
        n_repeats, n), of logistic regression (n_repeats, n).

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    networks = fit_networks({name: NetworkSpec(config)})
    alone = [baseline for baseline in BASELINES if baseline.name == REFERENCE]
    return cross_validate(table, [networks, fit_baselines(alone)], n_repeats=n_repeats)


def evaluate_with_baselines(
    table: Table,
    config: TrainingConfig,
    *,
    name: str,
    seed: int = SEED,
    n_repeats: int = N_REPEATS,
    jobs: int = -1,
    slow: bool = False,
) -> ModelComparison:
    """A recipe, one network and ten averaged, beside the textbook recipe and every baseline.

    Args:
        name: under which the recipe is shown.
        jobs: processes to spread the folds over; -1 for one a core.
        slow: fit the slow baselines too.

    Raises:
        InvalidConfig: too few records of an outcome for ten folds.
    """
    averaged = NetworkSpec(config, averaged=True)
    named = {name: averaged._replace(averaged=False), f"{name}, ten averaged": averaged}
    if config != RECIPES["textbook"]:
        named["textbook"] = NetworkSpec(RECIPES["textbook"], n_networks=1)
    baselines, left_out = choose_baselines(slow=slow)
    predictors = [fit_networks(named), fit_baselines(baselines, jobs=jobs)]
    found, _ = cross_validate(
        table, predictors, seed=seed, n_repeats=n_repeats, jobs=jobs, left_out=left_out
    )
    return found
