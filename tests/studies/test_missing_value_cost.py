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
    N_RANDOM_PATTERNS,
    Job,
    fit_in_ensembles,
    missing_patterns,
    missing_value_costs,
)

TOGETHER = ("slope", "ca", "thal")


def logistic_regression(
    jobs: Iterable[Job], labels: np.ndarray, _: TrainingConfig
) -> Iterator[DenseNetwork]:
    """Fit networks without a hidden layer, in milliseconds."""
    for job in jobs:
        regression = LogisticRegression(C=0.3, max_iter=2_000).fit(
            job.features[job.rows], labels[job.rows]
        )
        layer = DenseLayer(
            kernel=regression.coef_.T.tolist(),
            bias=regression.intercept_.tolist(),
            activation="sigmoid",
        )
        yield DenseNetwork([layer], job.features.shape[1], np.float64)


def test_patterns_are_single_columns_and_random_sets(schema: Schema) -> None:
    patterns = missing_patterns(schema, seed=1)
    assert patterns[0] == ()
    assert [name for (name,) in patterns[1:11]] == list(schema.column_names[3:])
    assert len(set(patterns)) == len(patterns) == 1 + 10 + N_RANDOM_PATTERNS
    assert all(len(pattern) > 1 for pattern in patterns[11:])
    assert patterns == missing_patterns(schema, seed=1) != missing_patterns(schema, seed=2)


def test_networks_are_refitted_without_the_hidden_columns(table: Table) -> None:
    """Each fold has a network with all columns, then one for each pattern; all else is equal."""
    all_jobs: list[Job] = []

    def fit(
        jobs: Iterable[Job], labels: np.ndarray, config: TrainingConfig
    ) -> Iterator[DenseNetwork]:
        for job in jobs:
            all_jobs.append(job)
            yield from logistic_regression([job], labels, config)

    patterns = [(), ("chol", "ca"), ("thal",)]
    config = TrainingConfig(seed=5)
    missing_value_costs(table, config, patterns, seed=1, n_repeats=1, n_folds=2, fit_many=fit)
    assert [job.seed for job in all_jobs] == [5, 5, 5, 6, 6, 6]
    names = table.schema.feature_names
    hidden = np.array([name == "chol" or name.startswith("ca=") for name in names])
    for complete, without_two, without_thal in (all_jobs[:3], all_jobs[3:]):
        assert (without_two.features[:, hidden] == 0).all()
        np.testing.assert_array_equal(
            without_two.features[:, ~hidden], complete.features[:, ~hidden]
        )
        n_changed = (without_thal.features != complete.features).any(axis=0).sum()
        assert n_changed == 3  # normal, fixed, reversible
        assert (without_two.rows == complete.rows).all() and 270 <= len(complete.rows) <= 275


def test_imputation_costs_little_log_loss(table: Table) -> None:
    """Logistic regression predicts as well here; ten folds, one repeat."""
    config = TrainingConfig()
    costs = missing_value_costs(
        table,
        config,
        [(), ("ca",), TOGETHER],
        seed=20241,
        n_repeats=1,
        fit_many=logistic_regression,
    )
    assert costs[()].difference == pytest.approx(0, abs=0.002), (
        "only six patients have missing values"
    )
    assert 0.3 < costs[()].imputed < costs[TOGETHER].imputed < 0.5
    for pattern in (("ca",), TOGETHER):
        assert costs[pattern].difference < 0.01


def test_networks_of_an_ensemble_equal_networks_fitted_alone(table: Table) -> None:
    """Equal within single precision, in which ensembles train."""
    from model.training import fit_network, predict

    config = TrainingConfig(epochs=3)
    draw = np.random.default_rng(0)
    jobs = [
        Job(draw.normal(size=(303, 5)), np.sort(draw.permutation(303)[:270]), seed)
        for seed in (3, 4)
    ]
    networks = list(fit_in_ensembles(iter(jobs), table.labels, config))
    assert len(networks) == 2
    for job, network in zip(jobs, networks, strict=True):
        job_config = msgspec.structs.replace(config, seed=job.seed)
        alone = fit_network(job.features[job.rows], table.labels[job.rows], job_config).network
        log_odds = network.log_odds(network.first_layer_sums(job.features))
        np.testing.assert_allclose(
            1 / (1 + np.exp(-log_odds)), predict(alone, job.features), atol=1e-4
        )
