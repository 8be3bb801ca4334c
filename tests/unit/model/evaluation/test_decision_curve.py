from __future__ import annotations

import msgspec
import numpy as np
import pytest

from model.errors import InvalidConfig
from model.evaluation import (
    DecisionCurve,
    ThresholdPerformance,
    compute_decision_curve,
    threshold_for,
    threshold_performance,
)
from model.logit import to_probabilities

# At the threshold .5: one true positive, one false negative, one false positive, one true negative.
LABELS = np.array([1, 1, 0, 0])
PROBABILITIES = np.array([[0.9, 0.3, 0.6, 0.1]])


def sample(n: int = 303, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes drawn from probabilities, and the probabilities."""
    draw = np.random.default_rng(seed)
    p = to_probabilities(draw.normal(scale=1.8, size=n))
    return (draw.uniform(size=n) < p).astype(int), p[None]


def curve(labels: np.ndarray = LABELS, p: np.ndarray = PROBABILITIES) -> DecisionCurve:
    return compute_decision_curve(labels, np.arange(len(labels)), p, seed=1, n_samples=200)


def perform(
    cost_ratio: float | None, labels: np.ndarray = LABELS, p: np.ndarray = PROBABILITIES
) -> ThresholdPerformance:
    return threshold_performance(
        labels, np.arange(len(labels)), p, cost_ratio=cost_ratio, seed=1, n_samples=200
    )


@pytest.mark.parametrize(
    ("threshold", "model", "treat_all"),
    [
        (0.5, 1 / 4 - 1 / 4, 0.5 - 0.5),
        (0.2, 2 / 4 - 1 / 4 * 0.25, 0.5 - 0.5 * 0.25),
        (0.8, 1 / 4, 0.5 - 0.5 * 4),
        (0.95, 0.0, 0.5 - 0.5 * 19),
    ],
)
def test_net_benefit_by_hand(threshold: float, model: float, treat_all: float) -> None:
    decision_curve = curve()
    index = decision_curve.thresholds.index(threshold)
    assert decision_curve.model[index] == pytest.approx(model, abs=1e-4)
    assert decision_curve.treat_all[index] == pytest.approx(treat_all, abs=1e-4)
    assert decision_curve.over_all[index] == pytest.approx(model - treat_all, abs=1e-4)


def test_a_patient_exactly_at_the_threshold_is_treated() -> None:
    decision_curve = curve(p=np.array([[0.5, 0.5, 0.1, 0.1]]))
    assert decision_curve.model[decision_curve.thresholds.index(0.5)] == 0.5
    assert decision_curve.model[decision_curve.thresholds.index(0.51)] == 0


def test_the_curve_is_the_mean_over_the_repeats() -> None:
    labels, p = sample()
    other = p[:, ::-1]
    both = curve(labels, np.concatenate([p, other]))
    mean = (np.array(curve(labels, p).model) + curve(labels, other).model) / 2
    np.testing.assert_allclose(both.model, mean, atol=1e-4)


def test_the_band_has_the_theoretical_width() -> None:
    """At .5 the net benefit is a mean of +1, -1 and 0 with a known standard error."""
    labels, (p,) = sample()
    decision_curve = compute_decision_curve(labels, np.arange(303), p[None], seed=1)
    index = decision_curve.thresholds.index(0.5)
    error = np.std((p >= 0.5) * np.where(labels == 1, 1, -1)) / np.sqrt(303)
    assert decision_curve.high[index] - decision_curve.low[index] == pytest.approx(
        2 * 1.96 * error, rel=0.1
    )
    for low, middle, high in (
        (decision_curve.low, decision_curve.model, decision_curve.high),
        (decision_curve.treat_all_low, decision_curve.treat_all, decision_curve.treat_all_high),
        (decision_curve.over_all_low, decision_curve.over_all, decision_curve.over_all_high),
    ):
        assert (np.array(low) <= middle).all() and (np.array(middle) <= high).all()


def test_calibrated_probabilities_beat_treating_all_and_none() -> None:
    decision_curve = curve(*sample(3_000))
    for threshold in (0.2, 0.5, 0.8):
        index = decision_curve.thresholds.index(threshold)
        assert decision_curve.low[index] > 0 and decision_curve.over_all_low[index] > 0


def test_a_cost_ratio_gives_a_threshold() -> None:
    assert threshold_for(None) == 0.5 == threshold_for(1)
    assert threshold_for(4) == pytest.approx(0.2)
    assert threshold_for(1 / 4) == pytest.approx(0.8)
    for wrong in (0.0, -1.0, 1e3, float("nan")):
        with pytest.raises(InvalidConfig, match=r"expected 0\.01 to 100"):
            threshold_for(wrong)


def test_the_threshold_of_the_cost_ratio_has_the_lowest_cost() -> None:
    """With calibrated probabilities, no other threshold costs less."""
    labels, (p,) = sample(200_000)
    costs = [
        4 * int(((p < t) & (labels == 1)).sum()) + int(((p >= t) & (labels == 0)).sum())
        for t in (0.1, threshold_for(4), 0.35)
    ]
    assert costs[1] == min(costs)


def test_performance_by_hand() -> None:
    performance = perform(None)
    assert (performance.threshold, performance.cost_ratio, performance.stated) == (0.5, 1.0, False)
    values = {
        name: estimate.value
        for name, estimate in msgspec.structs.asdict(performance).items()
        if name not in ("threshold", "cost_ratio", "stated")
    }
    assert values == {
        "true_positives": 1,
        "false_negatives": 1,
        "false_positives": 1,
        "true_negatives": 1,
        "sensitivity": 0.5,
        "specificity": 0.5,
        "ppv": 0.5,
        "npv": 0.5,
        "cost": 0.5,
        "cost_of_treating_all": 0.5,
        "cost_of_treating_none": 0.5,
        "net_benefit": 0,
    }


def test_performance_with_a_stated_cost_ratio_by_hand() -> None:
    performance = perform(4)
    assert (performance.threshold, performance.cost_ratio, performance.stated) == (0.2, 4, True)
    assert (performance.true_positives.value, performance.false_positives.value) == (2, 1)
    assert performance.npv and performance.npv.value == 1
    assert performance.ppv and performance.ppv.value == pytest.approx(2 / 3)
    assert performance.cost.value == pytest.approx(1 / 4)
    assert performance.cost_of_treating_none.value == pytest.approx(2)
    assert performance.net_benefit.value == pytest.approx(0.4375)


@pytest.mark.parametrize("cost_ratio", [0.25, 1, 9])
def test_net_benefit_is_the_saved_cost_in_the_unit_of_the_curve(cost_ratio: float) -> None:
    """Treating nobody costs r for every positive patient; the model saves a part of that cost."""
    labels, p = sample()
    performance = perform(cost_ratio, labels, p)
    saved = performance.cost_of_treating_none.value - performance.cost.value
    assert performance.net_benefit.value == pytest.approx(saved / cost_ratio)
    decision_curve = curve(labels, p)
    index = int(np.abs(np.array(decision_curve.thresholds) - performance.threshold).argmin())
    assert performance.net_benefit.value == pytest.approx(decision_curve.model[index], abs=1e-4)
    assert performance.net_benefit.low == pytest.approx(decision_curve.low[index], abs=1e-4)


def test_a_share_without_any_patient_is_none() -> None:
    performance = perform(None, p=np.full((2, 4), 0.1))
    assert performance.ppv is None
    assert performance.npv and performance.npv.value == 0.5
    partly_defined = perform(None, p=np.array([[0.1] * 4, [0.9, 0.1, 0.1, 0.1]]))
    assert partly_defined.ppv and partly_defined.ppv.value == 1


def test_copies_of_a_record_are_drawn_together() -> None:
    labels, p = sample(150)
    once = threshold_performance(labels, np.arange(150), p, seed=1).sensitivity
    groups = np.tile(np.arange(150), 2)
    twice = threshold_performance(np.tile(labels, 2), groups, np.tile(p, 2), seed=1).sensitivity
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))


def test_curve_and_performance_survive_json() -> None:
    for result in (curve(*sample()), perform(None, p=np.full((2, 4), 0.1))):
        assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result
