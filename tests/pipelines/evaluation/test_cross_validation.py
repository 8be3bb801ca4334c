from __future__ import annotations

import pytest

from model.evaluation import METRICS
from model.training import RECIPES, TrainingConfig
from pipelines.data import Table
from pipelines.evaluation import REFERENCE, evaluate_recipe
from pipelines.evaluation import cross_validation as evaluating
from pipelines.evaluation.baselines import BASELINES, Baseline, fit_baselines
from pipelines.evaluation.cross_validation import cross_validate, evaluate_with_baselines

FEW = tuple(b for b in BASELINES if b.name in (REFERENCE, "decision tree"))


def test_every_model_is_on_the_same_folds(table: Table) -> None:
    predictors = [fit_baselines([baseline]) for baseline in reversed(FEW)]
    found, predictions = cross_validate(table, predictors, n_repeats=1, left_out={"x": "slow"})
    assert (found.model, found.baseline) == ("decision tree", REFERENCE)
    assert found.skipped_models == {"x": "slow"} and found.n_splits == 10
    assert found.estimates.keys() == predictions.keys()
    again, _ = cross_validate(table, [fit_baselines(list(reversed(FEW)))], n_repeats=1)
    assert again.estimates == found.estimates and again.differences == found.differences
    other, _ = cross_validate(table, predictors, n_repeats=1, seed=1)
    assert other.estimates != found.estimates


def test_a_recipe_is_evaluated_quickly(table: Table) -> None:
    config = TrainingConfig(epochs=3)
    found, predictions = evaluate_recipe(table, config, name="short")
    assert list(found.estimates) == ["short", REFERENCE]
    assert predictions["short"].shape == (10, 1, 303)
    assert predictions[REFERENCE].shape == (1, 303)
    assert found.n_repeats == 1


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (TrainingConfig(epochs=2), ["it", "it, ten averaged", "textbook"]),
        (RECIPES["textbook"], ["it", "it, ten averaged"]),
    ],
)
def test_the_table_holds_the_recipe_twice_the_textbook_and_the_baselines(
    table: Table, monkeypatch: pytest.MonkeyPatch, config: TrainingConfig, names: list[str]
) -> None:
    def chosen(*, slow: bool) -> tuple[tuple[Baseline, ...], dict[str, str]]:
        assert slow
        return FEW, {"another": "why"}

    monkeypatch.setattr(evaluating, "choose_baselines", chosen)
    found = evaluate_with_baselines(table, config, name="it", n_repeats=1, jobs=1, slow=True)
    assert list(found.estimates) == [*names, *[b.name for b in FEW]]
    assert found.model == "it" and found.baseline == REFERENCE
    assert found.skipped_models == {"another": "why"}
    for figures in (*found.estimates.values(), *found.differences_to_baseline().values()):
        assert figures.keys() == METRICS.keys()
    average, single = found.estimates["it, ten averaged"], found.estimates["it"]
    # Log loss is convex: an average of probabilities is never worse than its members on the mean.
    assert average["log_loss"].value < single["log_loss"].value
