from __future__ import annotations

import pytest

from model.evaluation import METRICS
from model.training import RECIPES, TrainingConfig
from pipelines.data import Table
from pipelines.evaluation import REFERENCE, evaluate_recipe, evaluate_with_baselines
from pipelines.evaluation.baselines import BASELINES, fit_baselines
from pipelines.evaluation.cross_validation import cross_validate

TWO_BASELINES = tuple(b for b in BASELINES if b.name in (REFERENCE, "decision tree"))


def test_every_model_uses_the_same_folds(table: Table) -> None:
    predictors = [fit_baselines([baseline]) for baseline in reversed(TWO_BASELINES)]
    comparison, predictions = cross_validate(
        table, predictors, n_repeats=1, skipped_models={"x": "slow"}
    )
    assert (comparison.model, comparison.baseline) == ("decision tree", REFERENCE)
    assert comparison.skipped_models == {"x": "slow"} and comparison.n_splits == 10
    assert comparison.estimates.keys() == predictions.keys()
    again, _ = cross_validate(table, [fit_baselines(list(reversed(TWO_BASELINES)))], n_repeats=1)
    assert again.estimates == comparison.estimates and again.differences == comparison.differences
    other, _ = cross_validate(table, predictors, n_repeats=1, seed=1)
    assert other.estimates != comparison.estimates


def test_a_recipe_is_compared_with_logistic_regression_only(table: Table) -> None:
    config = TrainingConfig(epochs=3)
    comparison, predictions = evaluate_recipe(table, config, name="short")
    assert list(comparison.estimates) == ["short", REFERENCE]
    assert predictions["short"].shape == (10, 1, 303)
    assert predictions[REFERENCE].shape == (1, 303)
    assert comparison.n_repeats == 1


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (TrainingConfig(epochs=2), ["it", "it, ten averaged", "textbook"]),
        (RECIPES["textbook"], ["it", "it, ten averaged"]),
    ],
)
def test_the_recipe_its_average_the_textbook_and_the_baselines_are_compared(
    table: Table, config: TrainingConfig, names: list[str]
) -> None:
    comparison = evaluate_with_baselines(
        table,
        config,
        TWO_BASELINES,
        name="it",
        n_repeats=1,
        jobs=1,
        skipped_models={"another": "slow"},
    )
    assert list(comparison.estimates) == [*names, *[b.name for b in TWO_BASELINES]]
    assert comparison.model == "it" and comparison.baseline == REFERENCE
    assert comparison.skipped_models == {"another": "slow"}
    for estimates in (
        *comparison.estimates.values(),
        *comparison.differences_to_baseline().values(),
    ):
        assert estimates.keys() == METRICS.keys()
    average, single = comparison.estimates["it, ten averaged"], comparison.estimates["it"]
    # Log loss is convex: averaged probabilities have at most the mean loss of their networks.
    assert average["log_loss"].value < single["log_loss"].value
