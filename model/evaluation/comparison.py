"""What out-of-fold predictions say: figures with intervals, and paired differences of models.

Repeats of the folds are not independent samples of patients, so no interval comes from the
spread over folds, and no test is made of it (Bengio and Grandvalet, 2004: it has no unbiased
estimate). Patients are resampled, the same ones for all models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import msgspec
import numpy as np

from model.evaluation.bootstrap import Estimate, bootstrap_statistic, estimate
from model.evaluation.metrics import METRICS, Metric


class ModelComparison(msgspec.Struct, frozen=True, omit_defaults=True):
    """Models on the same folds, each beside one baseline.

    A manifest keeps it. Releases that knew one model and the baseline read the same fields: what
    came later has defaults.

    Attributes:
        seed, n_splits, n_repeats: of the folds.
        n_patients: different patients; copies of one count as one draw.
        model: the one that the evaluation is about.
        baseline: the one that all others are compared with.
        estimates: by name of the model, then of the metric.
        differences: of the model, by metric: its figure minus the baseline's, paired.
        other_differences: by name of every further model, then by metric: its figure minus the baseline's.
        skipped_models: models that were not evaluated, and why.
    """

    seed: int
    n_splits: int
    n_repeats: int
    n_patients: int
    model: str
    baseline: str
    estimates: dict[str, dict[str, Estimate]]
    differences: dict[str, Estimate]
    other_differences: dict[str, dict[str, Estimate]] = {}
    skipped_models: dict[str, str] = {}

    def differences_to_baseline(self) -> dict[str, dict[str, Estimate]]:
        """By name of every model but the baseline, then by metric: the paired differences."""
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
    """Figures of several models, and their differences to one of them, which is the baseline.

    All from the same bootstrap samples of patients, so that differences are paired (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13: percentile intervals).

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        predictions: by name, first those of the model that the evaluation is about: (n_repeats,
            n), each row the out-of-fold probabilities of one repeat; or (n_networks, n_repeats, n)
            for a model that comes out differently with every seed, whose figures are then the
            means over its networks.
        seed, n_splits: of the folds, for the record; the seed also draws the bootstrap.
        baseline: name of the one to compare with; the last unless given.
        skipped_models: for the record, as in :class:`ModelComparison`.
    """
    names = list(predictions)
    model, baseline = names[0], baseline or names[-1]
    rows = {name: _flatten_repeats(predictions[name]) for name in names}
    of_each = bootstrap_statistic(
        lambda weights: np.stack(
            [compute(labels, rows[n], weights) for compute in METRICS.values() for n in names],
            axis=1,
        ),
        groups,
        seed=seed,
    )
    draws = dict(zip(product(METRICS, names), of_each.T, strict=True))
    estimates: dict[str, dict[str, Estimate]] = {name: {} for name in names}
    differences: dict[str, dict[str, Estimate]] = {n: {} for n in names if n != baseline}
    for metric, compute in METRICS.items():
        found = {
            n: _MetricSamples.of(compute, labels, predictions[n], draws[metric, n]) for n in names
        }
        for name in names:
            estimates[name][metric] = found[name].estimate()
        for name, paired in differences.items():
            paired[metric] = found[name].minus(found[baseline]).estimate()
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


@dataclass(frozen=True)
class _MetricSamples:
    """One metric of one model: over all patients, in every bootstrap sample, in every repeat."""

    value: float
    drawn: np.ndarray
    repeats: np.ndarray

    @classmethod
    def of(
        cls, compute: Metric, labels: np.ndarray, predictions: np.ndarray, drawn: np.ndarray
    ) -> _MetricSamples:
        everyone = np.ones((1, len(labels)))
        repeats = [predictions[..., [r], :] for r in range(predictions.shape[-2])]
        return cls(
            value=compute(labels, _flatten_repeats(predictions), everyone)[0],
            drawn=drawn,
            repeats=np.array(
                [compute(labels, _flatten_repeats(one), everyone)[0] for one in repeats]
            ),
        )

    def minus(self, other: _MetricSamples) -> _MetricSamples:
        return _MetricSamples(
            self.value - other.value, self.drawn - other.drawn, self.repeats - other.repeats
        )

    def estimate(self) -> Estimate:
        return estimate(self.drawn, self.repeats, value=self.value)


def log_loss_rise_in_standard_errors(before: ModelComparison, after: ModelComparison) -> float:
    """By how many standard errors the log loss rose from one table to another."""
    old, new = (e.estimates[e.model]["log_loss"] for e in (before, after))
    # The intervals are about 2 * 1.96 standard errors wide.
    standard_error = math.hypot(old.high - old.low, new.high - new.low) / (2 * 1.96)
    return (new.value - old.value) / standard_error if standard_error else 0.0


def _flatten_repeats(predictions: np.ndarray) -> np.ndarray:
    """(…, n) → (k, n), over whose rows every metric takes the mean."""
    return predictions.reshape(-1, predictions.shape[-1])
