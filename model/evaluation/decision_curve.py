"""What acting on the probabilities is worth: net benefit, and what a threshold does.

Whoever treats from a probability t on says that a missed patient is as bad as (1 - t) / t false
alarms. In units of one patient found, per patient seen, that makes a net benefit of

    found / n  -  false alarms / n * t / (1 - t)

(Vickers and Elkin, "Decision curve analysis", 2006). A model is worth using at t if it beats both
treating everybody and treating nobody, whose net benefit is 0. Read the other way round, a missed
patient who costs r false alarms asks for the threshold 1 / (1 + r), if probabilities are honest.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from model.errors import InvalidConfig
from model.evaluation.bootstrap import (
    N_BOOTSTRAP,
    Estimate,
    bootstrap_statistic,
    estimate_or_none,
    nan_mean,
    percentile_interval,
)

CURVE_DIGITS = 4
DEFAULT_THRESHOLD = 0.5
MIN_COST_RATIO, MAX_COST_RATIO = 0.01, 100.0


class DecisionCurve(msgspec.Struct, frozen=True):
    """Net benefit by threshold, each curve with its pointwise 95 % band from a bootstrap of patients.

    Attributes:
        thresholds: .01 to .99.
        model, low, high: of treating whoever reaches the threshold; the band is also that of the
            difference to treating nobody, which is 0.
        treat_all, treat_all_low, treat_all_high: of treating everybody.
        over_all, over_all_low, over_all_high: the model's minus that of treating everybody, paired.
    """

    thresholds: list[float]
    model: list[float]
    low: list[float]
    high: list[float]
    treat_all: list[float]
    treat_all_low: list[float]
    treat_all_high: list[float]
    over_all: list[float]
    over_all_low: list[float]
    over_all_high: list[float]


class ThresholdPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold does to the patients; each figure is the mean over the repeats.

    Attributes:
        cost_ratio: what a missed patient costs, in false alarms: the stated one, or the one that the
            threshold implies.
        stated: whether somebody stated it.
        true_positives, false_negatives, false_positives, true_negatives: numbers of patients.
        sensitivity: share of the ill who reach the threshold.
        specificity: share of the healthy who do not.
        ppv, npv: share ill of those who reach it, share healthy of those who do not; None where
            nobody does.
        cost: of missed patients and false alarms per patient, in false alarms.
        cost_of_treating_all, cost_of_treating_none: likewise, without any model.
        net_benefit: in patients found per patient.
    """

    threshold: float
    cost_ratio: float
    stated: bool
    true_positives: Estimate
    false_negatives: Estimate
    false_positives: Estimate
    true_negatives: Estimate
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate | None
    npv: Estimate | None
    cost: Estimate
    cost_of_treating_all: Estimate
    cost_of_treating_none: Estimate
    net_benefit: Estimate


def threshold_for(cost_ratio: float | None) -> float:
    """The threshold at which treating and not treating cost the same.

    Args:
        cost_ratio: what a missed patient costs, in false alarms; None if nobody has stated it.

    Raises:
        InvalidConfig: it is not between .01 and 100.

    >>> threshold_for(None), threshold_for(4)
    (0.5, 0.2)
    """
    if cost_ratio is None:
        return DEFAULT_THRESHOLD
    if not MIN_COST_RATIO <= cost_ratio <= MAX_COST_RATIO:
        raise InvalidConfig(
            f"cost_ratio: expected {MIN_COST_RATIO} to {MAX_COST_RATIO:g}, received {cost_ratio!r}"
        )
    return 1 / (1 + cost_ratio)


def compute_decision_curve(
    labels: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray,
    *,
    seed: int,
    n_samples: int = N_BOOTSTRAP,
) -> DecisionCurve:
    """Net benefit of acting on out-of-fold probabilities, the mean over the repeats.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        probabilities: (n_repeats, n).
        seed: of the bootstrap; equal seeds draw the same patients for every figure.
    """
    thresholds = np.arange(1, 100) / 100
    treated = np.mean([p[:, None] >= thresholds for p in probabilities], axis=0)
    # What treating a patient adds to the sum, at each threshold.
    gain = np.where(labels[:, None] == 1, 1.0, -thresholds / (1 - thresholds))
    gains = np.concatenate([treated * gain, gain, (treated - 1) * gain], axis=1)
    draws = bootstrap_statistic(
        lambda weights: weights @ gains / weights.sum(axis=1, keepdims=True),
        groups,
        seed=seed,
        n_samples=n_samples,
    )
    low, high = percentile_interval(draws)
    curves = [c.reshape(3, -1) for c in (gains.mean(axis=0), low, high)]
    model, treat_all, over_all = zip(*curves, strict=True)
    return DecisionCurve(*map(_rounded, (thresholds, *model, *treat_all, *over_all)))


def threshold_performance(
    labels: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray,
    *,
    cost_ratio: float | None = None,
    seed: int,
    n_samples: int = N_BOOTSTRAP,
) -> ThresholdPerformance:
    """What the threshold of a cost ratio does, with intervals from a bootstrap of patients.

    Args:
        labels, groups, probabilities, seed: as of :func:`compute_decision_curve`.
        cost_ratio: as of :func:`threshold_for`.
    """
    threshold = threshold_for(cost_ratio)
    ratio = (1 - threshold) / threshold if cost_ratio is None else cost_ratio
    reached = probabilities >= threshold
    ill = labels == 1
    # (n, 4 * n_repeats), so that one product counts for every repeat.
    cells = np.concatenate([reached & ill, ~reached & ill, reached & ~ill, ~reached & ~ill]).T
    repeats = _threshold_rates(np.ones((1, len(labels))) @ cells, ratio)
    draws = bootstrap_statistic(
        lambda weights: np.stack(
            [nan_mean(values) for values in _threshold_rates(weights @ cells, ratio).values()],
            axis=1,
        ),
        groups,
        seed=seed,
        n_samples=n_samples,
    )
    figures: Any = {
        name: estimate_or_none(drawn, values[0])
        for drawn, (name, values) in zip(draws.T, repeats.items(), strict=True)
    }
    return ThresholdPerformance(
        threshold=threshold, cost_ratio=ratio, stated=cost_ratio is not None, **figures
    )


def _threshold_rates(counts: np.ndarray, cost_ratio: float) -> dict[str, np.ndarray]:
    """(b, 4 * n_repeats) numbers of patients → by figure (b, n_repeats), NaN for a share of nobody."""
    tp, fn, fp, tn = np.split(counts, 4, axis=1)
    n = tp + fn + fp + tn
    with np.errstate(invalid="ignore"):
        return {
            "true_positives": tp,
            "false_negatives": fn,
            "false_positives": fp,
            "true_negatives": tn,
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "ppv": tp / (tp + fp),
            "npv": tn / (tn + fn),
            "cost": (fn * cost_ratio + fp) / n,
            "cost_of_treating_all": (fp + tn) / n,
            "cost_of_treating_none": (tp + fn) * cost_ratio / n,
            "net_benefit": (tp - fp / cost_ratio) / n,
        }


def _rounded(numbers: np.ndarray) -> list[float]:
    return [round(number, CURVE_DIGITS) for number in numbers.tolist()]
