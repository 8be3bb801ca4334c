from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from model.errors import InvalidConfig
from model.training import TrainingConfig
from pipelines.cli import main
from pipelines.data import Table
from pipelines.tuning import candidate_configs, parse_search_dimension
from pipelines.tuning.nested_cv import (
    N_INNER_FOLDS,
    N_OUTER_FOLDS,
    NestedCvResult,
    nested_splits,
    run_nested_cv,
)
from pipelines.tuning.search_space import Range


def test_a_grid_has_every_combination_once() -> None:
    search_space = dict(
        map(parse_search_dimension, ["hidden=none,8,16x8", "learning-rate=0.001,0.01,0.001"])
    )
    configs = candidate_configs(TrainingConfig(epochs=7), search_space)
    assert {(c.hidden, c.learning_rate) for c in configs} == {
        (hidden, rate) for hidden in ((), (8,), (16, 8)) for rate in (0.001, 0.01)
    }
    assert len(configs) == 6 and {c.epochs for c in configs} == {7}


def test_values_have_the_type_of_the_setting() -> None:
    assert parse_search_dimension("batch_size=1,32,all") == ("batch_size", [1, 32, "all"])
    assert parse_search_dimension("optimizer=adam,sgd") == ("optimizer", ["adam", "sgd"])
    assert parse_search_dimension("l2=0,1e-3") == ("l2", [0.0, 0.001])
    assert parse_search_dimension("l2=0..1") == ("l2", Range(0, 1))


def test_a_sample_is_drawn_from_values_and_ranges() -> None:
    search_space = dict(
        map(parse_search_dimension, ["learning_rate=1e-4..1e-2", "epochs=10..40", "hidden=4,8"])
    )
    configs = candidate_configs(TrainingConfig(), search_space, n_samples=200, seed=1)
    rates = np.array([config.learning_rate for config in configs])
    assert len(configs) == 200 and configs == candidate_configs(
        TrainingConfig(), search_space, n_samples=200, seed=1
    )
    assert rates.min() >= 1e-4 and rates.max() <= 1e-2
    assert 0.35 < (rates < 1e-3).mean() < 0.65  # half of them below the logarithmic midpoint
    assert {config.hidden for config in configs} == {(4,), (8,)}
    assert {config.epochs for config in configs} == set(range(10, 41))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("layers=1,2", "layers: unknown setting"),
        ("epochs=", "expected NAME=A,B,C"),
        ("epochs", "expected NAME=A,B,C"),
        ("l2=1..x", "expected two numbers"),
        ("l2=1..0", "the lower end first"),
        ("loss=0..1", "a numeric setting"),
        ("hidden=a", "expected units such as 16"),
    ],
)
def test_an_invalid_search_dimension_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason):
        parse_search_dimension(text)


def test_invalid_values_and_ranges_without_a_sample_size_are_errors() -> None:
    with pytest.raises(InvalidConfig, match="epochs"):
        candidate_configs(TrainingConfig(), dict([parse_search_dimension("epochs=0,10")]))
    with pytest.raises(InvalidConfig, match="optimizer: expected one of adam"):
        candidate_configs(TrainingConfig(), dict([parse_search_dimension("optimizer=adamw")]))
    with pytest.raises(InvalidConfig, match="l2: a range needs --sample"):
        candidate_configs(TrainingConfig(), dict([parse_search_dimension("l2=0..1")]))


def nested_cv_with(inner: list[list[float]]) -> NestedCvResult:
    """Return one repeat in which every outer fold has the same inner losses."""
    losses = np.tile(np.array(inner)[:, None, None], (1, 1, N_OUTER_FOLDS, 1))
    configs = [TrainingConfig(hidden=(units,)) for units in range(1, len(inner) + 1)]
    outer = np.arange(len(inner), dtype=float)[:, None, None] + np.zeros((1, 1, 20))
    return NestedCvResult(configs, outer, losses, np.arange(20)[None] % N_OUTER_FOLDS)


def test_one_standard_error_selects_the_simplest_that_is_not_clearly_worse() -> None:
    far, near, best, complex_config = (
        [0.60] * 5,
        [0.43] * 5,
        [0.36, 0.38, 0.40, 0.42, 0.44],
        [0.41] * 5,
    )
    sweep = nested_cv_with([far, near, best, complex_config])
    # The best mean is .40 and its standard error .0141. The .43 is too high, the .41 not simpler.
    assert set(sweep.select_per_fold(range(4), one_standard_error=True).ravel()) == {2}
    nearer = nested_cv_with([far, [0.41] * 5, best, complex_config])
    assert set(nearer.select_per_fold(range(4), one_standard_error=True).ravel()) == {1}
    assert set(nearer.select_per_fold(range(4), one_standard_error=False).ravel()) == {2}
    assert set(nearer.select_per_fold([0, 3], one_standard_error=False).ravel()) == {3}
    np.testing.assert_array_equal(nearer.nested_losses(range(4), one_standard_error=True), 1.0)


def test_no_patient_is_used_for_both_selection_and_evaluation(table: Table) -> None:
    splits, outer_folds = nested_splits(table, 1, 2)
    assert len(splits) == 2 * N_OUTER_FOLDS * (1 + N_INNER_FOLDS)
    for number in range(2 * N_OUTER_FOLDS):
        (train, test), *inner = splits[
            number * (1 + N_INNER_FOLDS) : (number + 1) * (1 + N_INNER_FOLDS)
        ]
        assert not set(train) & set(test)
        assert (outer_folds[number // N_OUTER_FOLDS, test] == number % N_OUTER_FOLDS).all()
        assert sorted(np.concatenate([test_rows for _, test_rows in inner])) == sorted(train)
        for inner_train, inner_test in inner:
            assert not set(test) & (set(inner_train) | set(inner_test))
            assert not set(inner_train) & set(inner_test)


def test_the_simplest_come_first_and_the_best_is_selected(table: Table) -> None:
    configs = [TrainingConfig(hidden=(units,), epochs=e) for units in (16, 2) for e in (30, 1)]
    sweep = run_nested_cv(table, configs, seed=3)
    assert [(c.hidden, c.epochs) for c in sweep.configs] == [
        ((2,), 1),
        ((2,), 30),
        ((16,), 1),
        ((16,), 30),
    ]
    losses = sweep.outer_losses.mean(axis=(1, 2))
    assert np.isfinite(sweep.inner_losses).all() and losses.argmin() == 3 and losses[3] < 0.42
    assert sweep.select_final(one_standard_error=False) == 3
    assert (sweep.nested_losses(range(4)) == sweep.outer_losses[3]).all()


def test_a_validation_fraction_is_an_error(table: Table) -> None:
    with pytest.raises(InvalidConfig, match="validation_fraction: must be 0"):
        run_nested_cv(table, [TrainingConfig(validation_fraction=0.2)], seed=1)


def test_the_command_prints_the_results_and_writes_a_page(tmp_path: Path) -> None:
    page = tmp_path / "sweep.html"
    arguments = ["sweep", "--device", "cpu", "--try", "hidden=none,4", "--try", "epochs=2,20"]
    result = CliRunner().invoke(main, [*arguments, "--for-each", "hidden", "--output", str(page)])
    assert result.exit_code == 0, result.output
    assert "240 networks, 4 combinations of hidden, epochs" in result.output
    text = page.read_text()
    assert "<svg" in text and "one standard error" in text
    assert "http" not in text.replace("http://www.w3.org", "")
    result = CliRunner().invoke(main, [*arguments, "--for-each", "l2"])
    assert result.exit_code == 2 and "l2 is not in the search space" in result.output
