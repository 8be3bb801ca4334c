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


def test_an_interval_holds_its_answer_and_names_what_it_is(
    artifact: Artifact, scorer: Scorer, table: Table
) -> None:
    values = table.values.astype(np.float32)
    answers = scorer.probabilities(values)
    found = estimator_of(artifact).intervals(values, answers)
    assert len(found) == len(values)
    for interval, answer in zip(found, answers.tolist(), strict=True):
        assert 0 < interval.low <= answer <= interval.high < 1
        assert (interval.level, interval.kind) == (0.9, "sampling uncertainty")
    widths = [interval.high - interval.low for interval in found]
    assert 0.15 < np.mean(widths) < 0.37


def test_an_answer_outside_widens_its_interval(artifact: Artifact, table: Table) -> None:
    values = table.values[:1].astype(np.float32)
    (low,) = estimator_of(artifact).intervals(values, np.array([0.001]))
    (high,) = estimator_of(artifact).intervals(values, np.array([0.999]))
    assert (low.low, high.high) == (0.001, 0.999)


def test_bounds_are_percentiles_stretched_around_the_median() -> None:
    log_odds = np.random.default_rng(0).normal(size=(50, 101))
    middle, low, high = interval_bounds(log_odds, 0.9, 1.3, np.zeros((50, 1)))
    percentiles = np.quantile(log_odds, [0.5, 0.05, 0.95], axis=1)
    expected = percentiles[0] + 1.3 * (percentiles - percentiles[0])
    for found, z in zip((middle, low, high), expected, strict=True):
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-z)), atol=1e-12)


def test_bounds_widen_with_what_missing_values_leave_open() -> None:
    log_odds = np.random.default_rng(0).normal(size=(1, 100)) + 1
    widths = []
    for variance in (0.0, 0.1, 1.0, 4.0):
        _, low, high = interval_bounds(log_odds, 0.9, 1.3, np.array([[variance]]))
        widths.append(float(logit(high[0]) - logit(low[0])))
    assert widths == sorted(widths) and widths[3] > 1.2 * widths[0]


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_records_that_lack_values_have_wider_intervals(
    artifact: Artifact, scorer: Scorer, table: Table
) -> None:
    estimator = estimator_of(artifact)
    values = table.values[~np.isnan(table.values).any(axis=1)].astype(np.float32)

    def width(hidden: list[str]) -> float:
        gappy = values.copy()
        gappy[:, [table.schema.column_names.index(name) for name in hidden]] = np.nan
        found = estimator.intervals(gappy, scorer.probabilities(gappy))
        return float(np.mean([interval.high - interval.low for interval in found]))

    may_be_missing = [c.name for c in table.schema.columns if not c.required]
    narrowest = min(width([name]) for name in may_be_missing)
    assert width([]) < narrowest
    assert width(["thal"]) < width(["ca", "thal"]) < width(["ca", "thal", "slope", "oldpeak"])


@pytest.mark.parametrize(
    "choices",
    [{}, {"hidden": ()}, {"hidden": (6, 4), "activation": "tanh"}, {"activation": "softmax"},
     {"activation": "leaky_relu"}, {"activation": "sigmoid"}],
    ids=str,
)  # fmt: skip
def test_members_say_what_their_networks_say(
    choices: dict[str, Any], artifact: Artifact, table: Table
) -> None:
    encoding = json.loads(artifact.files["encoding.json"])
    draw = np.random.default_rng(0)
    features = draw.normal(size=(60, len(encoding["features"])))
    members = bootstrap_member_specs(
        TrainingConfig(epochs=3, **choices), np.arange(60), seed=0, n_members=7
    )
    ensemble = fit_ensemble(features, (features[:, 0] > 0).astype(int), members)
    band = EnsembleScorer(
        artifact.files,
        to_bootstrap_file(ensemble, Calibration(method="platt", slope=0.5, intercept=0.25)),
        None,
    )
    expected = 0.5 * ensemble.outputs(features)[:, :, 0].T + 0.25
    found, outputs = band.log_odds(features)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    step = 1e-2 * np.eye(features.shape[1])[5]
    sides = [band.log_odds(features + sign * step)[0].astype(float) for sign in (1, -1)]
    slopes = band.gradients(len(features), outputs)[:, :, 5].T
    if choices.get("activation") != "leaky_relu" and choices:  # no kinks to step over
        np.testing.assert_allclose(slopes, (sides[0] - sides[1]) / 2e-2, atol=2e-3)


def test_members_go_through_the_steps_that_the_network_goes_through(
    artifact: Artifact, table: Table
) -> None:
    steps = Calibration(
        method="isotonic", slope=0.7, knots=(-1.0, 0.5, 2.0), values=(-2.0, 0.1, 0.3)
    )
    draw = np.random.default_rng(0)
    features = draw.normal(size=(60, 29))
    members = bootstrap_member_specs(TrainingConfig(epochs=3), np.arange(60), seed=0, n_members=40)
    ensemble = fit_ensemble(features, (features[:, 0] > 0).astype(int), members)
    values = table.values[:20].astype(np.float32)
    plain, stepped = (
        EnsembleScorer(artifact.files, to_bootstrap_file(ensemble, calibration), None)
        for calibration in (Calibration(), steps)
    )
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    log_odds, _ = plain.log_odds(encoding.encode(values))
    _, low, high = interval_bounds(
        steps.apply(log_odds), INTERVAL_LEVEL, SPREAD_FACTOR, np.zeros((20, 1))
    )
    middle = (low + high) / 2
    np.testing.assert_allclose(stepped.bounds(values, middle), [low, high], atol=1e-5)


def test_a_bootstrap_draws_copies_of_a_record_together() -> None:
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


def test_a_version_without_members_says_that_it_has_none(artifact: Artifact) -> None:
    files = {name: data for name, data in artifact.files.items() if name != "members.json"}
    estimator = estimator_of(replace(artifact, files=files))
    assert not estimator.available
    with pytest.raises(IntervalUnavailable, match="version 1 was trained without"):
        estimator.intervals(np.zeros((1, 13), np.float32), np.array([0.5]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"spread": 1.2}, "intervals differ by"),
        ({"layers": []}, "must end in one linear unit"),
        ({"lows": "none"}, "no intervals can be given"),
        ({"lows": [0.1]}, "no intervals can be given"),
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
        {"shape": [m, inputs - 1, units]}, {"activation": "os:getcwd"},
        {"bias": base64.b64encode(b"\0" * 8).decode()},
        {"bias": base64.b64encode(np.full((m, units), np.nan, "<f4").tobytes()).decode()},
    ):  # fmt: skip
        with pytest.raises(ArtifactDamaged, match="no intervals can be given"):
            estimator_of(with_members(artifact, layers=[{**first, **change}, last]))
