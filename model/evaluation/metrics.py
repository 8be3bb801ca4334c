"""How good probabilities are: five figures, for all patients or for bootstrap samples of them.

Every figure is computed for many weightings of the patients at once: a bootstrap sample is how
often each patient was drawn. Predictions come from repeated folds, so a patient has one
probability a repeat, and a figure is the mean over the repeats.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.logit import SMALLEST_PROBABILITY

N_CALIBRATION_BINS = 10
MAX_PAIRS = 4_000_000  # 32 MB

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def log_loss(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean negative log-likelihood; lower is better.

    Args:
        labels: (n,) of 0 and 1.
        probabilities: (n_repeats, n).
        weights: (b, n), how often each patient counts.

    Returns:
        (b,), one figure a weighting. The other figures take and give the same.
    """
    p = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    losses = -np.where(labels == 1, np.log(p), np.log1p(-p)).mean(axis=0)
    return weights @ losses / weights.sum(axis=1)


def brier(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared difference of probability and outcome; lower is better."""
    errors = ((probabilities - labels) ** 2).mean(axis=0)
    return weights @ errors / weights.sum(axis=1)


def accuracy(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of patients on the right side of 0.5."""
    right = ((probabilities >= 0.5) == (labels == 1)).mean(axis=0)
    return weights @ right / weights.sum(axis=1)


def auc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of pairs of an ill and a healthy patient that are in the right order; ties half.

    That is the area under the ROC curve (Hanley and McNeil, Radiology 1982).
    NaN for a sample without any ill or any healthy patient. Of a small table all pairs are written
    down once, so that thousands of bootstrap samples are one product of matrices; of a large one,
    whose pairs would fill the memory, every repeat is sorted.
    """
    ill, healthy = labels == 1, labels == 0
    few = ill.sum() * healthy.sum() <= MAX_PAIRS
    right = (_concordant_pairs if few else _concordant_pairs_by_rank)(
        ill, healthy, probabilities, weights
    )
    with np.errstate(invalid="ignore"):
        return right / (weights[:, ill].sum(axis=1) * weights[:, healthy].sum(axis=1))


def _concordant_pairs(
    ill: np.ndarray, healthy: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(b,), the weight of the pairs in the right order: w_ill' S w_healthy."""
    signs = np.zeros((int(ill.sum()), int(healthy.sum())))
    for repeat in probabilities:
        signs += np.sign(repeat[ill, None] - repeat[healthy])
    share = 0.5 + signs / (2 * len(probabilities))
    return ((weights[:, ill] @ share) * weights[:, healthy]).sum(axis=1)


def _concordant_pairs_by_rank(
    ill: np.ndarray, healthy: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The same by sorting, with memory for one repeat of the rows."""
    right = np.zeros(len(weights))
    for repeat in probabilities:
        order = np.argsort(repeat, kind="stable")
        starts = np.flatnonzero(np.diff(repeat[order], prepend=-np.inf))  # of each run of ties
        sorted_weights = weights[:, order]
        ill_here = np.add.reduceat(sorted_weights * ill[order], starts, axis=1)
        healthy_here = np.add.reduceat(sorted_weights * healthy[order], starts, axis=1)
        healthy_below = np.cumsum(healthy_here, axis=1) - healthy_here
        right += (ill_here * (healthy_below + healthy_here / 2)).sum(axis=1)
    return right / len(probabilities)


def calibration_error(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Expected calibration error over ten bins of equal width (Naeini and others, AAAI 2015).

    Positively biased in small samples: a perfectly calibrated model shows about .05 on 303
    patients by chance.
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
