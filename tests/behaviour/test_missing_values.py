"""Log loss of predictions with missing values."""

from __future__ import annotations

import pytest

from model.training import RECIPES
from pipelines.data import Table
from pipelines.evaluation import SEED
from tests.studies.missing_value_cost import missing_patterns, missing_value_costs

COMBINATIONS = (("ca", "thal"), ("slope", "ca", "thal"))


@pytest.mark.slow
def test_imputation_is_as_good_as_training_without_the_columns(table: Table) -> None:
    """A hundred folds, compared with networks trained without the columns: 3,900 networks."""
    random = [pattern for pattern in missing_patterns(table.schema, seed=SEED) if len(pattern) > 1]
    single = [(column.name,) for column in table.schema.columns if not column.required]
    patterns = [
        (),
        *single,
        *random,
        *(pattern for pattern in COMBINATIONS if pattern not in random),
    ]
    costs = missing_value_costs(table, RECIPES["default"], patterns, seed=SEED, n_repeats=10)
    for pattern, cost in costs.items():
        limit = 0.003 if pattern in (*single, *COMBINATIONS) else 0.01
        assert cost.difference <= limit, pattern
    assert len(random) == 25
    assert costs[("ca",)].refitted - costs[()].refitted > 0.02, "a column that the network reads"
