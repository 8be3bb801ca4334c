from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from model.artifacts import Artifact
from model.calibration import Calibration
from model.errors import ArtifactDamaged, IntervalUnavailable
from model.features import Encoding
from model.inference import (
    INTERVAL_LEVEL,
    SPREAD_FACTOR,
    BootstrapFile,
    EnsembleScorer,
    IntervalEstimator,
    Scorer,
    StackedDenseNetwork,
    interval_bounds,
)
from model.training import TrainingConfig
from model.training.ensemble import bootstrap_member_specs, fit_ensemble, to_bootstrap_file
from pipelines.data import Table


@pytest.fixture
def scorer(artifact: Artifact) -> Scorer:
    return Scorer(artifact)


def estimator_of(artifact: Artifact) -> IntervalEstimator:
    return IntervalEstimator(artifact, Scorer(artifact).missing_value_scorer)


def with_members(artifact: Artifact, **changes: Any) -> Artifact:
    members = {**json.loads(artifact.files["members.json"]), **changes}
    return replace(artifact, files={**artifact.files, "members.json": json.dumps(members).encode()})


def test_intervals_contain_their_predictions_and_state_their_level(
    artifact: Artifact, scorer: Scorer, table: Table
) -> None:
    values = table.values.copy()
    probabilities = scorer.probabilities(values)
    intervals = estimator_of(artifact).intervals(values, probabilities)
    assert len(intervals) == len(values)
    for interval, probability in zip(intervals, probabilities.tolist(), strict=True):
        assert 0 < interval.low <= probability <= interval.high < 1
        assert (interval.level, interval.kind) == (0.9, "sampling uncertainty")
    widths = [interval.high - interval.low for interval in intervals]
    assert 0.15 < np.mean(widths) < 0.37


def test_an_interval_extends_to_a_prediction_outside_it(artifact: Artifact, table: Table) -> None:
    values = table.values[:1].copy()
    (low,) = estimator_of(artifact).intervals(values, np.array([0.001]))
    (high,) = estimator_of(artifact).intervals(values, np.array([0.999]))
    assert (low.low, high.high) == (0.001, 0.999)


def test_records_with_missing_values_have_wider_intervals(
    artifact: Artifact, scorer: Scorer, table: Table
) -> None:
    estimator = estimator_of(artifact)
    values = table.values[~np.isnan(table.values).any(axis=1)].copy()

    def width(hidden: list[str]) -> float:
        incomplete = values.copy()
        incomplete[:, [table.schema.column_names.index(name) for name in hidden]] = np.nan
        intervals = estimator.intervals(incomplete, scorer.probabilities(incomplete))
        return float(np.mean([interval.high - interval.low for interval in intervals]))

    optional = [column.name for column in table.schema.columns if not column.required]
    narrowest = min(width([name]) for name in optional)
    assert width([]) < narrowest
    assert width(["thal"]) < width(["ca", "thal"]) < width(["ca", "thal", "slope", "oldpeak"])


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"hidden": ()},
        {"hidden": (6, 4), "activation": "tanh"},
        {"activation": "softmax"},
        {"activation": "leaky_relu"},
        {"activation": "sigmoid"},
    ],
    ids=str,
)
def test_stored_members_give_the_log_odds_of_the_trained_ensemble(choices: dict[str, Any]) -> None:
    features = np.random.default_rng(0).normal(size=(60, 29))
    specs = bootstrap_member_specs(
        TrainingConfig(epochs=3, **choices), np.arange(60), seed=0, n_members=7
    )
    ensemble = fit_ensemble(features, (features[:, 0] > 0).astype(int), specs)
    calibration = Calibration(method="platt", slope=0.5, intercept=0.25)
    network = StackedDenseNetwork(to_bootstrap_file(ensemble, calibration).layers, 29)
    expected = 0.5 * ensemble.outputs(features)[:, :, 0].T + 0.25
    np.testing.assert_allclose(network.log_odds(features)[0], expected, atol=1e-5)


def test_members_apply_the_isotonic_calibration_of_the_network(
    artifact: Artifact, table: Table
) -> None:
    isotonic = Calibration(
        method="isotonic", slope=0.7, knots=(-1.0, 0.5, 2.0), values=(-2.0, 0.1, 0.3)
    )
    features = np.random.default_rng(0).normal(size=(60, 29))
    specs = bootstrap_member_specs(TrainingConfig(epochs=3), np.arange(60), seed=0, n_members=40)
    ensemble = fit_ensemble(features, (features[:, 0] > 0).astype(int), specs)
    values = table.values[:20].copy()
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    network = StackedDenseNetwork(to_bootstrap_file(ensemble, Calibration()).layers, 29)
    log_odds, _ = network.log_odds(encoding.encode(values))
    _, low, high = interval_bounds(
        isotonic.apply(log_odds), INTERVAL_LEVEL, SPREAD_FACTOR, np.zeros((20, 1))
    )
    scorer = EnsembleScorer(artifact.files, to_bootstrap_file(ensemble, isotonic), None)
    bounds = scorer.bounds(values, (low + high) / 2)
    np.testing.assert_allclose(bounds, [low, high], atol=1e-5)


def test_bootstrap_samples_draw_copies_of_a_record_together() -> None:
    groups = np.array([0, 0, 1, 2, 3, 3])
    rows = np.array([0, 1, 2, 4, 5])
    config = TrainingConfig(epochs=30, seed=5)
    members = bootstrap_member_specs(config, groups, seed=1, rows=rows, n_members=50)
    weights = np.array([member.weights for member in members])
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 4], weights[:, 5])
    assert not weights[:, 3].any()  # not among the rows
    np.testing.assert_array_equal(weights[:, [0, 2, 4]].sum(axis=1), 3)
    assert {member.config.epochs for member in members} == {42}
    assert [member.config.seed for member in members] == list(range(6, 56))


def test_a_version_without_members_has_no_intervals(artifact: Artifact) -> None:
    files = {name: data for name, data in artifact.files.items() if name != "members.json"}
    estimator = estimator_of(replace(artifact, files=files))
    assert not estimator.available
    with pytest.raises(IntervalUnavailable, match="version 1"):
        estimator.intervals(np.zeros((1, 13)), np.array([0.5]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spread": 1.2}, "golden rows differ by"),
        ({"layers": []}, "must end in one linear unit"),
        ({"lows": "none"}, "intervals cannot be computed"),
        ({"lows": [0.1]}, "intervals cannot be computed"),
    ],
)
def test_damaged_members_are_refused(
    artifact: Artifact, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ArtifactDamaged, match=reason):
        estimator_of(with_members(artifact, **changes))


def test_layers_that_do_not_fit_are_refused(artifact: Artifact) -> None:
    members = msgspec.json.decode(artifact.files["members.json"], type=BootstrapFile)
    first, last = json.loads(msgspec.json.encode(members.layers))
    m, inputs, units = first["shape"]
    for change in (
        {"shape": [m, inputs - 1, units]},
        {"activation": "os:getcwd"},
        {"bias": base64.b64encode(b"\0" * 8).decode()},
        {"bias": base64.b64encode(np.full((m, units), np.nan, "<f4").tobytes()).decode()},
    ):
        with pytest.raises(ArtifactDamaged, match="intervals cannot be computed"):
            estimator_of(with_members(artifact, layers=[{**first, **change}, last]))
