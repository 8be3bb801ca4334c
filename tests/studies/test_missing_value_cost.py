from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model.inference import DenseLayer, DenseNetwork
from model.schema import Schema
from model.training import TrainingConfig
from pipelines.data import Table
from tests.studies.missing_value_cost import (
    N_RANDOM,
    Job,
    fit_in_ensembles,
    missing_patterns,
    missing_value_costs,
)

TOGETHER = ("slope", "ca", "thal")


def logistic_regression(
    jobs: Iterable[Job], labels: np.ndarray, _: TrainingConfig
) -> Iterator[DenseNetwork]:
    """A network without a hidden layer, which takes milliseconds to fit."""
    for job in jobs:
        fitted = LogisticRegression(C=0.3, max_iter=2_000).fit(
            job.features[job.rows], labels[job.rows]
        )
        layer = DenseLayer(
            kernel=fitted.coef_.T.tolist(), bias=fitted.intercept_.tolist(), activation="sigmoid"
        )
        yield DenseNetwork([layer], job.features.shape[1], np.float64)


def test_patterns_are_every_column_and_random_sets(schema: Schema) -> None:
    patterns = missing_patterns(schema, seed=1)
    assert patterns[0] == ()
    assert [name for (name,) in patterns[1:11]] == list(schema.column_names[3:])
    assert len(set(patterns)) == len(patterns) == 1 + 10 + N_RANDOM
    assert all(len(pattern) > 1 for pattern in patterns[11:])
    assert patterns == missing_patterns(schema, seed=1) != missing_patterns(schema, seed=2)


def test_networks_are_refitted_without_what_is_hidden(table: Table) -> None:
    """For each of two folds: the whole network, then one without each pattern, all else equal."""
    seen: list[Job] = []

    def fit(
        jobs: Iterable[Job], labels: np.ndarray, config: TrainingConfig
    ) -> Iterator[DenseNetwork]:
        for job in jobs:
            seen.append(job)
            yield from logistic_regression([job], labels, config)

    patterns = [(), ("chol", "ca"), ("thal",)]
    config = TrainingConfig(seed=5)
    missing_value_costs(table, config, patterns, seed=1, n_repeats=1, n_folds=2, fit_many=fit)
    assert [job.seed for job in seen] == [5, 5, 5, 6, 6, 6]
    names = table.schema.feature_names
    for whole, without, other in (seen[:3], seen[3:]):
        hidden = [name == "chol" or name.startswith("ca=") for name in names]
        assert (without.features[:, hidden] == 0).all()
        np.testing.assert_array_equal(
            without.features[:, ~np.array(hidden)], whole.features[:, ~np.array(hidden)]
        )
        assert (other.features != whole.features).any(
            axis=0
        ).sum() == 3  # normal, fixed, reversible
        assert (without.rows == whole.rows).all() and 270 <= len(whole.rows) <= 275


def test_hiding_costs_next_to_nothing(table: Table) -> None:
    """With logistic regression, whose answers are as good: ten folds, one round."""
    config = TrainingConfig()
    costs = missing_value_costs(
        table,
        config,
        [(), ("ca",), TOGETHER],
        seed=20241,
        n_repeats=1,
        fit_many=logistic_regression,
    )
    assert costs[()].difference == pytest.approx(0, abs=0.002), "only six patients lack anything"
    assert 0.3 < costs[()].imputed < costs[TOGETHER].imputed < 0.5
    for pattern in (("ca",), TOGETHER):
        assert costs[pattern].difference < 0.01


def test_networks_fitted_together_are_lone_networks(table: Table) -> None:
    """In single precision, as they train."""
    from model.training import fit_network, predict

    config = TrainingConfig(epochs=3)
    draw = np.random.default_rng(0)
    jobs = [
        Job(draw.normal(size=(303, 5)), np.sort(draw.permutation(303)[:270]), seed)
        for seed in (3, 4)
    ]
    found = list(fit_in_ensembles(iter(jobs), table.labels, config))
    assert len(found) == 2
    for job, network in zip(jobs, found, strict=True):
        own = msgspec.structs.replace(config, seed=job.seed)
        alone = fit_network(job.features[job.rows], table.labels[job.rows], own).network
        log_odds = network.log_odds(network.first_layer_sums(job.features))
        np.testing.assert_allclose(
            1 / (1 + np.exp(-log_odds)), predict(alone, job.features), atol=1e-4
        )
