"""Decision curve analysis: net benefit of a model, and its performance at one threshold.

Treating patients whose probability is at least t implies that a false negative costs as much as
(1 - t) / t false positives. The net benefit, in true positives per patient, is

    true positives / n  -  false positives / n * t / (1 - t)

(Vickers and Elkin, "Decision curve analysis", 2006). A model is useful at t if its net benefit is
above that of treating all patients and above that of treating none, which is 0. Conversely, if a
false negative costs as much as r false positives and the probabilities are calibrated, the optimal
threshold is 1 / (1 + r).
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
    round_curve,
)

DEFAULT_THRESHOLD = 0.5
MIN_COST_RATIO, MAX_COST_RATIO = 0.01, 100.0


class DecisionCurve(msgspec.Struct, frozen=True):
    """Net benefit by threshold, with pointwise 95 % bands from bootstrap samples of patients.

    Attributes:
        thresholds: .01 to .99.
        model, low, high: of treating patients who reach the threshold. The band also holds for the
            difference to treating nobody, whose net benefit is 0.
        treat_all, treat_all_low, treat_all_high: of treating all patients.
        over_all, over_all_low, over_all_high: the model's minus that of treating all, paired.
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
    """Performance at a threshold; each estimate is the mean over the repeats of the folds.

    Attributes:
        cost_ratio: cost of a false negative, in false positives: as configured, or implied by the
            threshold.
        stated: True if the cost ratio was configured.
        true_positives, false_negatives, false_positives, true_negatives: numbers of patients.
        sensitivity: share of the positive patients who reach the threshold.
        specificity: share of the negative patients who do not.
        ppv: share of positive patients among those who reach the threshold; None without any.
        npv: share of negative patients among those who do not; None without any.
        cost: of false negatives and false positives, in false positives per patient.
        cost_of_treating_all, cost_of_treating_none: the same without a model.
        net_benefit: in true positives per patient.
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
    """Return the probability at which treating and not treating have the same expected cost.

    Args:
        cost_ratio: cost of a false negative, in false positives; None for the threshold 0.5.

    Raises:
        InvalidConfig: the cost ratio is not between .01 and 100.

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
    """Compute the net benefit of out-of-fold probabilities, the mean over the repeats.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        probabilities: (n_repeats, n).
        seed: of the bootstrap; equal seeds draw the same patients for every estimate.
    """
    thresholds = np.arange(1, 100) / 100
    treated = np.mean([p[:, None] >= thresholds for p in probabilities], axis=0)
    # Net benefit of treating a patient, at each threshold.
    benefit = np.where(labels[:, None] == 1, 1.0, -thresholds / (1 - thresholds))
    benefits = np.concatenate([treated * benefit, benefit, (treated - 1) * benefit], axis=1)
    draws = bootstrap_statistic(
        lambda weights: weights @ benefits / weights.sum(axis=1, keepdims=True),
        groups,
        seed=seed,
        n_samples=n_samples,
    )
    low, high = percentile_interval(draws)
    curves = [curve.reshape(3, -1) for curve in (benefits.mean(axis=0), low, high)]
    model, treat_all, over_all = zip(*curves, strict=True)
    return DecisionCurve(*map(round_curve, (thresholds, *model, *treat_all, *over_all)))


def threshold_performance(
    labels: np.ndarray,
    groups: np.ndarray,
    probabilities: np.ndarray,
    *,
    cost_ratio: float | None = None,
    seed: int,
    n_samples: int = N_BOOTSTRAP,
) -> ThresholdPerformance:
    """Compute the performance at the threshold of a cost ratio, with bootstrap intervals.

    Args:
        labels, groups, probabilities, seed: as for :func:`compute_decision_curve`.
        cost_ratio: as for :func:`threshold_for`.
    """
    threshold = threshold_for(cost_ratio)
    ratio = (1 - threshold) / threshold if cost_ratio is None else cost_ratio
    reached = probabilities >= threshold
    positive = labels == 1
    # (n, 4 * n_repeats), so that one matrix product counts all repeats.
    cells = np.concatenate(
        [reached & positive, ~reached & positive, reached & ~positive, ~reached & ~positive]
    ).T
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
    estimates: Any = {
        name: estimate_or_none(samples, values[0])
        for samples, (name, values) in zip(draws.T, repeats.items(), strict=True)
    }
    return ThresholdPerformance(
        threshold=threshold, cost_ratio=ratio, stated=cost_ratio is not None, **estimates
    )


def _threshold_rates(counts: np.ndarray, cost_ratio: float) -> dict[str, np.ndarray]:
    """Compute the rates of :class:`ThresholdPerformance`; NaN for a share without any patient.

    **Shape**: (b, 4 * n_repeats) numbers of patients → (b, n_repeats) by name of the rate.
    """
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
