"""Comparison of models by out-of-fold predictions: metrics with intervals, paired differences.

Repeats of the folds are not independent samples of patients, and the variance over folds has no
unbiased estimate (Bengio and Grandvalet, 2004). So intervals come from bootstrap samples of
patients, the same ones for all models, and not from the spread over folds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import msgspec
import numpy as np

from model.evaluation.bootstrap import (
    NORMAL_QUANTILE,
    Estimate,
    bootstrap_statistic,
    estimate,
)
from model.evaluation.metrics import METRICS


class ModelComparison(msgspec.Struct, frozen=True):
    """Metrics of several models on the same folds, compared with a baseline.

    A manifest stores it.

    Attributes:
        seed, n_splits, n_repeats: of the folds.
        n_patients: different patients; copies of a record count once.
        model: name of the evaluated model.
        baseline: name of the model that all others are compared with.
        estimates: by name of the model, then of the metric.
        differences: of the evaluated model, by metric: its value minus the baseline's, paired.
        other_differences: the same for all further models, by name of the model, then of the
            metric.
        skipped_models: reasons by name of a model that was not evaluated.
    """

    seed: int
    n_splits: int
    n_repeats: int
    n_patients: int
    model: str
    baseline: str
    estimates: dict[str, dict[str, Estimate]]
    differences: dict[str, Estimate]
    other_differences: dict[str, dict[str, Estimate]]
    skipped_models: dict[str, str]

    def differences_to_baseline(self) -> dict[str, dict[str, Estimate]]:
        """Return paired differences by name of each model but the baseline, then by metric."""
        return {self.model: self.differences} | self.other_differences


def compare(
    labels: np.ndarray,
    groups: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    *,
    seed: int,
    n_splits: int,
    baseline: str | None = None,
    skipped_models: Mapping[str, str] | None = None,
) -> ModelComparison:
    """Compute the metrics of several models and their differences to a baseline.

    All models use the same bootstrap samples of patients, so that differences are paired.
    Intervals are percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap,
    1993, chapter 13).

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        predictions: by name of the model, the evaluated model first: out-of-fold probabilities
            (n_repeats, n); or (n_networks, n_repeats, n) for a model that varies with its seed,
            whose metrics are then means over its networks.
        seed: of the folds, which is stored, and of the bootstrap.
        n_splits: of the folds; stored.
        baseline: name of the baseline; the last model if None.
        skipped_models: stored, as in :class:`ModelComparison`.
    """
    names = list(predictions)
    model, baseline = names[0], baseline or names[-1]
    rows = {name: _flatten_repeats(predictions[name]) for name in names}
    statistics = bootstrap_statistic(
        lambda weights: np.stack(
            [compute(labels, rows[n], weights) for compute in METRICS.values() for n in names],
            axis=1,
        ),
        groups,
        seed=seed,
    )
    draws = dict(zip(product(METRICS, names), statistics.T, strict=True))
    estimates: dict[str, dict[str, Estimate]] = {name: {} for name in names}
    differences: dict[str, dict[str, Estimate]] = {n: {} for n in names if n != baseline}
    all_patients = np.ones((1, len(labels)))
    for metric, compute in METRICS.items():
        values = {name: compute(labels, rows[name], all_patients)[0] for name in names}
        for name in names:
            estimates[name][metric] = estimate(draws[metric, name], values[name])
        for name, paired in differences.items():
            paired[metric] = estimate(
                draws[metric, name] - draws[metric, baseline], values[name] - values[baseline]
            )
    return ModelComparison(
        seed=seed,
        n_splits=n_splits,
        n_repeats=predictions[model].shape[-2],
        n_patients=len(np.unique(groups)),
        model=model,
        baseline=baseline,
        estimates=estimates,
        differences=differences.pop(model),
        other_differences=differences,
        skipped_models=dict(skipped_models or {}),
    )


def log_loss_rise_in_standard_errors(before: ModelComparison, after: ModelComparison) -> float:
    """Return the rise of the evaluated models' log loss between comparisons on different tables.

    The unit is the standard error of the difference. It is derived from the widths of the two
    intervals, taken as normal and independent.
    """
    old, new = (e.estimates[e.model]["log_loss"] for e in (before, after))
    standard_error = math.hypot(old.high - old.low, new.high - new.low) / (2 * NORMAL_QUANTILE)
    return (new.value - old.value) / standard_error if standard_error else 0.0


def _flatten_repeats(predictions: np.ndarray) -> np.ndarray:
    """Return predictions with one axis of repeats, over which every metric takes the mean.

    **Shape**: (..., n) → (k, n).
    """
    return predictions.reshape(-1, predictions.shape[-1])
