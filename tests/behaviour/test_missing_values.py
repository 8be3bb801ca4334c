"""What an answer is worth where something is missing."""

from __future__ import annotations

import pytest

from model.training import RECIPES
from pipelines.data import Table
from pipelines.evaluation import SEED
from tests.studies.missing_value_cost import missing_patterns, missing_value_costs

TOGETHER = (("ca", "thal"), ("slope", "ca", "thal"))


@pytest.mark.slow
def test_nothing_is_lost_by_not_knowing_beforehand_what_will_be_missing(table: Table) -> None:
    """A hundred folds, beside networks refitted without what is hidden: 3,900 networks."""
    random = [pattern for pattern in missing_patterns(table.schema, seed=SEED) if len(pattern) > 1]
    alone = [(column.name,) for column in table.schema.columns if not column.required]
    patterns = [(), *alone, *random, *(pattern for pattern in TOGETHER if pattern not in random)]
    costs = missing_value_costs(table, RECIPES["default"], patterns, seed=SEED, n_repeats=10)
    for pattern, cost in costs.items():
        most = 0.003 if pattern in (*alone, *TOGETHER) else 0.01
        assert cost.difference <= most, pattern
    assert len(random) == 25
    assert costs[("ca",)].refitted - costs[()].refitted > 0.02, "a column that the network reads"
