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

# Two ill, two healthy patients: at .5 one is found, one missed, one alarm is false, one patient spared.
LABELS = np.array([1, 1, 0, 0])
PROBABILITIES = np.array([[0.9, 0.3, 0.6, 0.1]])


def sample(n: int = 303, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes drawn from the probabilities."""
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
    found = curve()
    place = found.thresholds.index(threshold)
    assert found.model[place] == pytest.approx(model, abs=1e-4)
    assert found.treat_all[place] == pytest.approx(treat_all, abs=1e-4)
    assert found.over_all[place] == pytest.approx(model - treat_all, abs=1e-4)


def test_who_is_exactly_at_the_threshold_is_treated() -> None:
    found = curve(p=np.array([[0.5, 0.5, 0.1, 0.1]]))
    assert found.model[found.thresholds.index(0.5)] == 0.5
    assert found.model[found.thresholds.index(0.51)] == 0


def test_the_curve_is_the_mean_over_the_repeats() -> None:
    labels, p = sample()
    other = p[:, ::-1]
    both = curve(labels, np.concatenate([p, other]))
    mean = (np.array(curve(labels, p).model) + curve(labels, other).model) / 2
    np.testing.assert_allclose(both.model, mean, atol=1e-4)


def test_the_band_has_the_width_that_theory_gives() -> None:
    """At .5 net benefit is a mean of +1, -1 and 0, whose standard error is known."""
    labels, (p,) = sample()
    found = compute_decision_curve(labels, np.arange(303), p[None], seed=1)
    place = found.thresholds.index(0.5)
    error = np.std((p >= 0.5) * np.where(labels == 1, 1, -1)) / np.sqrt(303)
    assert found.high[place] - found.low[place] == pytest.approx(2 * 1.96 * error, rel=0.1)
    for low, middle, high in (
        (found.low, found.model, found.high),
        (found.treat_all_low, found.treat_all, found.treat_all_high),
        (found.over_all_low, found.over_all, found.over_all_high),
    ):
        assert (np.array(low) <= middle).all() and (np.array(middle) <= high).all()


def test_honest_probabilities_beat_treating_all_and_none_in_the_middle() -> None:
    found = curve(*sample(3_000))
    for threshold in (0.2, 0.5, 0.8):
        place = found.thresholds.index(threshold)
        assert found.low[place] > 0 and found.over_all_low[place] > 0


def test_a_cost_ratio_gives_a_threshold() -> None:
    assert threshold_for(None) == 0.5 == threshold_for(1)
    assert threshold_for(4) == pytest.approx(0.2)
    assert threshold_for(1 / 4) == pytest.approx(0.8)
    for wrong in (0.0, -1.0, 1e3, float("nan")):
        with pytest.raises(InvalidConfig, match=r"expected 0\.01 to 100"):
            threshold_for(wrong)


def test_the_threshold_of_the_cost_ratio_is_the_cheapest() -> None:
    """What the formula promises, tried out: on honest probabilities no other threshold costs less."""
    labels, (p,) = sample(200_000)
    costs = [
        4 * int(((p < t) & (labels == 1)).sum()) + int(((p >= t) & (labels == 0)).sum())
        for t in (0.1, threshold_for(4), 0.35)
    ]
    assert costs[1] == min(costs)


def test_performance_by_hand() -> None:
    found = perform(None)
    assert (found.threshold, found.cost_ratio, found.stated) == (0.5, 1.0, False)
    values = {
        name: figure.value
        for name, figure in msgspec.structs.asdict(found).items()
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
    found = perform(4)
    assert (found.threshold, found.cost_ratio, found.stated) == (0.2, 4, True)
    assert (found.true_positives.value, found.false_positives.value) == (2, 1)
    assert found.npv and found.npv.value == 1
    assert found.ppv and found.ppv.value == pytest.approx(2 / 3)
    assert found.cost.value == pytest.approx(1 / 4)
    assert found.cost_of_treating_none.value == pytest.approx(2)
    assert found.net_benefit.value == pytest.approx(0.4375)


@pytest.mark.parametrize("cost_ratio", [0.25, 1, 9])
def test_net_benefit_is_what_is_saved_in_the_unit_of_the_curve(cost_ratio: float) -> None:
    """Treating nobody costs r for every ill patient; what the model saves of it, in patients found."""
    labels, p = sample()
    found = perform(cost_ratio, labels, p)
    saved = found.cost_of_treating_none.value - found.cost.value
    assert found.net_benefit.value == pytest.approx(saved / cost_ratio)
    whole = curve(labels, p)
    place = int(np.abs(np.array(whole.thresholds) - found.threshold).argmin())
    assert found.net_benefit.value == pytest.approx(whole.model[place], abs=1e-4)
    assert found.net_benefit.low == pytest.approx(whole.low[place], abs=1e-4)


def test_a_share_of_nobody_is_not_a_number_that_is_made_up() -> None:
    found = perform(None, p=np.full((2, 4), 0.1))
    assert found.ppv is None
    assert found.npv and found.npv.value == 0.5
    some = perform(None, p=np.array([[0.1] * 4, [0.9, 0.1, 0.1, 0.1]]))
    assert some.ppv and some.ppv.value == 1


def test_copies_of_a_record_are_drawn_together() -> None:
    labels, p = sample(150)
    once = threshold_performance(labels, np.arange(150), p, seed=1).sensitivity
    groups = np.tile(np.arange(150), 2)
    twice = threshold_performance(np.tile(labels, 2), groups, np.tile(p, 2), seed=1).sensitivity
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))


def test_what_was_written_is_read() -> None:
    for found in (curve(*sample()), perform(None, p=np.full((2, 4), 0.1))):
        assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
