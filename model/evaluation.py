"""What out-of-fold predictions say: figures with intervals, and paired differences of models.

Repeats of the folds are not independent samples of patients, so no interval comes from the
spread over folds. Patients are resampled, the same ones for both models of a pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np

from model.metrics import METRICS

N_BOOTSTRAP = 2_000
LEVEL = 0.95
CELLS_AT_ONCE = 2_000_000


class Figure(msgspec.Struct, frozen=True):
    """A figure over all patients, its 95 % bootstrap interval, and its spread over the repeats."""

    value: float
    low: float
    high: float
    sd_repeats: float = 0.0


class Evaluation(msgspec.Struct, frozen=True):
    """A model beside a baseline on the same folds.

    Attributes:
        seed, n_splits, n_repeats: of the folds.
        n_patients: different patients; copies of one count as one draw.
        model, baseline: their names.
        figures: by name of the model, then of the metric.
        differences: by metric, model minus baseline, paired.
    """

    seed: int
    n_splits: int
    n_repeats: int
    n_patients: int
    model: str
    baseline: str
    figures: dict[str, dict[str, Figure]]
    differences: dict[str, Figure]


def compare(
    labels: np.ndarray,
    groups: np.ndarray,
    predictions: dict[str, np.ndarray],
    *,
    seed: int,
    n_splits: int,
) -> Evaluation:
    """Figures of a model and a baseline, with a paired bootstrap of patients.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record, which are drawn together.
        predictions: the model's and then the baseline's, by name: (n_repeats, n), each row the
            out-of-fold probabilities of one repeat.
        seed, n_splits: of the folds, for the record; the seed also draws the bootstrap.
    """
    everyone = np.ones((1, len(labels)))
    names = list(predictions)
    model, baseline = names
    draws: dict[str, dict[str, list[np.ndarray]]] = {n: {m: [] for m in METRICS} for n in names}
    for weights in bootstrap_weights(groups, seed=seed):
        for name in names:
            for metric, compute in METRICS.items():
                draws[name][metric].append(compute(labels, predictions[name], weights))
    figures: dict[str, dict[str, Figure]] = {name: {} for name in names}
    differences = {}
    for metric, compute in METRICS.items():
        drawn = {n: np.concatenate(draws[n][metric]) for n in names}
        values = {n: compute(labels, predictions[n], everyone)[0] for n in names}
        repeats = {
            n: np.array([compute(labels, row[None], everyone)[0] for row in predictions[n]])
            for n in names
        }
        for n in names:
            figures[n][metric] = _figure(values[n], drawn[n], repeats[n])
        differences[metric] = _figure(
            values[model] - values[baseline],
            drawn[model] - drawn[baseline],
            repeats[model] - repeats[baseline],
        )
    return Evaluation(
        seed=seed,
        n_splits=n_splits,
        n_repeats=len(predictions[model]),
        n_patients=len(np.unique(groups)),
        model=model,
        baseline=baseline,
        figures=figures,
        differences=differences,
    )


def bootstrap_weights(
    groups: np.ndarray, *, seed: int, n_samples: int = N_BOOTSTRAP
) -> Iterator[np.ndarray]:
    """How often each row is drawn in bootstrap samples of patients.

    Yields:
        float64 (b, n), until b adds up to ``n_samples``, in parts of bounded memory; copies of a
        record are drawn together.
    """
    _, patient = np.unique(groups, return_inverse=True)
    n_patients = int(patient.max()) + 1
    draw = np.random.default_rng(seed)
    shares = np.full(n_patients, 1 / n_patients)
    part = max(1, CELLS_AT_ONCE // len(groups))
    for start in range(0, n_samples, part):
        counts = draw.multinomial(n_patients, shares, size=min(part, n_samples - start))
        yield counts[:, patient].astype(np.float64)


def standard_errors_worse(before: Evaluation, after: Evaluation) -> float:
    """By how many standard errors the log loss rose from one table to another."""
    old, new = (e.figures[e.model]["log_loss"] for e in (before, after))
    # The intervals are about 2 * 1.96 standard errors wide.
    standard_error = math.hypot(old.high - old.low, new.high - new.low) / (2 * 1.96)
    return (new.value - old.value) / standard_error if standard_error else 0.0


def _figure(value: float, draws: np.ndarray, repeats: np.ndarray) -> Figure:
    # A sample without a single ill or healthy patient has no AUC.
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    spread = float(repeats.std(ddof=1)) if len(repeats) > 1 else 0.0
    return Figure(float(value), float(low), float(high), spread)
