"""Metrics of predicted probabilities, for all patients or for bootstrap samples of them.

Every metric is computed for many weightings of the patients at once. The weights of a bootstrap
sample are how often each patient was drawn. Predictions come from repeated folds, so a patient has
one probability for each repeat, and a metric is the mean over the repeats.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.logit import SMALLEST_PROBABILITY

N_CALIBRATION_BINS = 10
MAX_PAIRS = 4_000_000
"""Pairs of patients that :func:`auc` holds in memory at once, 32 MB."""

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(labels, probabilities, weights) → values, with the shapes of :func:`log_loss`."""


def record_log_losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the negative log-likelihood of each record, in nats.

    Probabilities are clipped by :data:`model.logit.SMALLEST_PROBABILITY`. Trainers compute the same
    loss in their own program, with the operations of the Keras backend.

    Args:
        labels: (n,) of 0 and 1, or any shape that broadcasts to that of the probabilities.
        probabilities: (..., n).

    Returns:
        float64, of the shape of the probabilities.
    """
    p = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -np.where(labels == 1, np.log(p), np.log1p(-p))


def prevalence_log_loss(labels: np.ndarray) -> float:
    """Return the log loss of predicting the share of positives for every record.

    >>> round(prevalence_log_loss(np.array([0, 1, 0, 1])), 4)
    0.6931
    """
    return float(record_log_losses(labels, np.full(len(labels), labels.mean())).mean())


def log_loss(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the mean negative log-likelihood; lower is better.

    Args:
        labels: (n,) of 0 and 1.
        probabilities: (n_repeats, n).
        weights: (b, n), how often each patient counts.

    Returns:
        (b,), one value for each weighting. The other metrics have the same arguments and shapes.
    """
    losses = record_log_losses(labels, probabilities).mean(axis=0)
    return weights @ losses / weights.sum(axis=1)


def brier(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the mean squared difference of probability and outcome; lower is better."""
    errors = ((probabilities - labels) ** 2).mean(axis=0)
    return weights @ errors / weights.sum(axis=1)


def accuracy(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the share of correct labels at the threshold 0.5."""
    correct = ((probabilities >= 0.5) == (labels == 1)).mean(axis=0)
    return weights @ correct / weights.sum(axis=1)


def auc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve; NaN for a sample with only one outcome.

    It is the share of pairs of a positive and a negative patient that are concordant, with ties
    counted half (Hanley and McNeil, Radiology 1982). For a small table, a matrix of all pairs is
    computed once, so that thousands of bootstrap samples are one matrix product. For a large table
    that matrix would fill the memory, so every repeat is sorted.
    """
    positive, negative = labels == 1, labels == 0
    is_small = positive.sum() * negative.sum() <= MAX_PAIRS
    concordant = (_concordant_pairs if is_small else _concordant_pairs_by_rank)(
        positive, negative, probabilities, weights
    )
    with np.errstate(invalid="ignore"):
        return concordant / (weights[:, positive].sum(axis=1) * weights[:, negative].sum(axis=1))


def _concordant_pairs(
    positive: np.ndarray, negative: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute the weight of the concordant pairs, w_positive' S w_negative, (b,)."""
    signs = np.zeros((int(positive.sum()), int(negative.sum())))
    for repeat in probabilities:
        signs += np.sign(repeat[positive, None] - repeat[negative])
    share = 0.5 + signs / (2 * len(probabilities))
    return ((weights[:, positive] @ share) * weights[:, negative]).sum(axis=1)


def _concordant_pairs_by_rank(
    positive: np.ndarray, negative: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute the weight of the concordant pairs by sorting, one repeat at a time, (b,)."""
    concordant = np.zeros(len(weights))
    for repeat in probabilities:
        order = np.argsort(repeat, kind="stable")
        starts = np.flatnonzero(np.diff(repeat[order], prepend=-np.inf))  # of each run of ties
        sorted_weights = weights[:, order]
        positives = np.add.reduceat(sorted_weights * positive[order], starts, axis=1)
        negatives = np.add.reduceat(sorted_weights * negative[order], starts, axis=1)
        negatives_below = np.cumsum(negatives, axis=1) - negatives
        concordant += (positives * (negatives_below + negatives / 2)).sum(axis=1)
    return concordant / len(probabilities)


def calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Compute the expected calibration error over ten bins of equal width.

    Naeini and others, AAAI 2015. It is positively biased in small samples: a perfectly calibrated
    model has about .05 on 303 patients by chance.
    """
    total = np.zeros(len(weights))
    for repeat in probabilities:
        bins = np.minimum((repeat * N_CALIBRATION_BINS).astype(int), N_CALIBRATION_BINS - 1)
        gaps = np.zeros((len(repeat), N_CALIBRATION_BINS))
        gaps[np.arange(len(repeat)), bins] = labels - repeat
        total += np.abs(weights @ gaps).sum(axis=1)
    return total / len(probabilities) / weights.sum(axis=1)


METRICS: dict[str, Metric] = {
    "auc": auc,
    "accuracy": accuracy,
    "brier": brier,
    "log_loss": log_loss,
    "calibration_error": calibration_error,
}
