"""Cross-validation of recipes and baselines on the same folds, with everything fitted per fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from model.evaluation import ModelComparison, compare
from model.training import RECIPES, TrainingConfig
from pipelines.data import Table
from pipelines.evaluation.baselines import (
    BASELINES,
    REFERENCE,
    Baseline,
    fit_baselines,
)
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
    skipped_models: Mapping[str, str] | None = None,
) -> tuple[ModelComparison, dict[str, np.ndarray]]:
    """Evaluate several models on the same folds and compare each with logistic regression.

    Args:
        predictors: the first model of the first predictor is the subject of the evaluation.
            Logistic regression must be among the models.
        jobs: number of processes for fitting the preprocessing; -1 for one per core.
        skipped_models: models that are not evaluated, by name with the reason.

    Returns:
        The comparison, and the out-of-fold probabilities by name.

    Raises:
        InvalidConfig: the table has too few records of an outcome for ten folds.
    """
    folds = prepare_folds(table, seed=seed, n_repeats=n_repeats, jobs=jobs)
    predictions: dict[str, np.ndarray] = {}
    for predict in predictors:
        predictions |= predict(folds)
    comparison = compare(
        table.labels,
        table.groups,
        predictions,
        seed=seed,
        n_splits=len(folds) // n_repeats,
        baseline=REFERENCE,
        skipped_models=skipped_models,
    )
    return comparison, predictions


def evaluate_recipe(
    table: Table, config: TrainingConfig, *, name: str, n_repeats: int = 1
) -> tuple[ModelComparison, dict[str, np.ndarray]]:
    """Evaluate single networks of a recipe and compare them with logistic regression only.

    Returns:
        The comparison, and the out-of-fold probabilities by name: (n_networks, n_repeats, n) for
        the networks, (n_repeats, n) for logistic regression.

    Raises:
        InvalidConfig: the table has too few records of an outcome for ten folds.
    """
    networks = fit_networks({name: NetworkSpec(config)})
    reference = [baseline for baseline in BASELINES if baseline.name == REFERENCE]
    return cross_validate(table, [networks, fit_baselines(reference)], n_repeats=n_repeats)


def evaluate_with_baselines(
    table: Table,
    config: TrainingConfig,
    baselines: Sequence[Baseline],
    *,
    name: str,
    seed: int = SEED,
    n_repeats: int = N_REPEATS,
    jobs: int = -1,
    skipped_models: Mapping[str, str] | None = None,
) -> ModelComparison:
    """Compare a recipe with the textbook recipe and with baselines.

    The recipe is evaluated as a single network and as an average of ten networks.

    Args:
        baselines, skipped_models: as :func:`pipelines.evaluation.baselines.choose_baselines`
            returns them; logistic regression must be among the baselines.
        name: the name under which the recipe is shown.
        jobs: number of processes; -1 for one per core.

    Raises:
        InvalidConfig: the table has too few records of an outcome for ten folds.
    """
    averaged = NetworkSpec(config, averaged=True)
    specs = {name: averaged._replace(averaged=False), f"{name}, ten averaged": averaged}
    if config != RECIPES["textbook"]:
        specs["textbook"] = NetworkSpec(RECIPES["textbook"], n_networks=1)
    predictors = [fit_networks(specs), fit_baselines(baselines, jobs=jobs)]
    comparison, _ = cross_validate(
        table, predictors, seed=seed, n_repeats=n_repeats, jobs=jobs, skipped_models=skipped_models
    )
    return comparison
