"""Which calibration is taken: none, unless one is better for patients that it did not see.

A calibration is judged like a network: fitted on some patients, and asked about others. It is
taken where the log loss of the others falls by more than chance explains.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from model.bootstrap import figure
from model.calibration import to_probabilities
from model.calibrators import METHODS, Calibration, Method, fit_calibration
from model.errors import InvalidConfig
from model.evaluation import Figure, bootstrap_weights
from model.metrics import log_loss
from model.splits import repeated_folds

Asked = Literal["auto"] | Method


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The calibration that was taken, and what each of them did to patients that it did not see.

    Attributes:
        asked: for a method, or ``auto`` for the rule of :func:`choose_calibration`.
        log_loss: by method, after a calibration that was fitted on other patients.
        against: the method that the others had to beat.
        differences: by other method, log loss minus that of ``against``, paired by patient.
    """

    asked: Asked
    calibration: Calibration
    log_loss: dict[Method, Figure]
    against: Method
    differences: dict[Method, Figure]


def check_asked(asked: Asked, *, gives_probabilities: bool) -> None:
    """Refuse a calibration that would leave scores in the place of probabilities.

    Raises:
        InvalidConfig: the loss is not plain cross-entropy, so that its output is a score, off by
            more than a factor; and less than a line was asked for.
    """
    if not gives_probabilities and asked in ("none", "temperature"):
        raise InvalidConfig(
            f"calibration: expected auto, platt or isotonic with this loss, received {asked!r}: what "
            "it is least for is no probability"
        )


def choose_calibration(
    labels: np.ndarray,
    groups: np.ndarray,
    log_odds: np.ndarray,
    *,
    asked: Asked = "auto",
    gives_probabilities: bool = True,
    seed: int,
    n_splits: int = 10,
) -> tuple[Choice, np.ndarray]:
    """Take a calibration, and say what it is worth.

    ``auto`` takes a method where the 95 % interval of its log loss minus that without calibration
    lies below zero, over patients and paired; of several such the one with the lowest log loss.
    Where the loss gives no probabilities it takes Platt's line, and isotonic steps where these are
    better than the line in the same sense. What is taken is then fitted to all patients.

    Args:
        labels: (n,) of 0 and 1.
        groups: (n,) equal for copies of a record.
        log_odds: (n_repeats, n), each given by a network that did not see the patient. A single
            network each: an average over networks is calibrated in another way.
        seed: of the folds of the calibration and of the bootstrap.

    Returns:
        The choice, and float64 (n_repeats, n): the log-odds of every patient after the calibration
        that was taken, fitted on other patients. What is reported of it should be computed of these.

    Raises:
        InvalidConfig: see :func:`check_asked`; or too few patients with an outcome for the folds.
    """
    check_asked(asked, gives_probabilities=gives_probabilities)
    against: Method = "none" if gives_probabilities else "platt"
    methods = METHODS[METHODS.index(against) :]
    calibrated = {
        method: cross_fit(method, labels, groups, log_odds, seed=seed, n_splits=n_splits)
        for method in methods
    }
    values, differences = _compare(labels, groups, calibrated, against, seed=seed)
    taken: Method = against if asked == "auto" else asked
    if asked == "auto":
        better = [
            method for method in methods if method in differences and differences[method].high < 0
        ]
        taken = min(better, key=lambda method: values[method].value, default=against)
    choice = Choice(
        asked=asked,
        calibration=fit_calibration(taken, labels, log_odds),
        log_loss=values,
        against=against,
        differences=differences,
    )
    return choice, calibrated[taken]


def cross_fit(
    method: Method,
    labels: np.ndarray,
    groups: np.ndarray,
    log_odds: np.ndarray,
    *,
    seed: int,
    n_splits: int = 10,
) -> np.ndarray:
    """Log-odds after a calibration that was fitted on other patients, in folds of its own.

    Nearly honest: the networks that gave the log-odds of the other patients have seen this one,
    which moves the few numbers of a calibration by little.

    Returns:
        float64 (n_repeats, n); the log-odds themselves for ``none``.
    """
    if method == "none":
        return np.asarray(log_odds, np.float64)
    found = np.empty(log_odds.shape)
    folds = repeated_folds(labels, groups, n_splits=n_splits, n_repeats=len(log_odds), seed=seed)
    for number, (train, test) in enumerate(folds):
        repeat = number // n_splits
        fitted = fit_calibration(method, labels[train], log_odds[:, train])
        found[repeat, test] = fitted.apply(log_odds[repeat, test])
    return found


def _compare(
    labels: np.ndarray,
    groups: np.ndarray,
    calibrated: dict[Method, np.ndarray],
    against: Method,
    *,
    seed: int,
) -> tuple[dict[Method, Figure], dict[Method, Figure]]:
    everyone = np.ones((1, len(labels)))
    probabilities = {method: to_probabilities(x) for method, x in calibrated.items()}

    def each(weights: np.ndarray) -> dict[Method, np.ndarray]:
        return {m: log_loss(labels, p, weights) for m, p in probabilities.items()}

    repeats = {
        method: np.concatenate([log_loss(labels, row[None], everyone) for row in p])
        for method, p in probabilities.items()
    }
    drawn = [each(weights) for weights in bootstrap_weights(groups, seed=seed)]
    draws = {method: np.concatenate([part[method] for part in drawn]) for method in calibrated}
    values = {method: figure(draws[method], repeats[method]) for method in calibrated}
    differences = {
        method: figure(draws[method] - draws[against], repeats[method] - repeats[against])
        for method in calibrated
        if method != against
    }
    return values, differences
