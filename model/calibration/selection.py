"""Which calibration is taken: none, unless one is better for patients that it did not see.

A calibration is judged like a network: fitted on some patients, and asked about others. It is
taken where the log loss of the others falls by more than chance explains.
"""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from model.calibration.methods import METHODS, Calibration, Method, RequestedMethod, fit_calibration
from model.errors import InvalidConfig
from model.evaluation import (
    CalibrationEstimates,
    Estimate,
    bootstrap_statistic,
    estimate,
    estimate_calibration,
    log_loss,
    repeated_folds,
)
from model.logit import to_probabilities


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A calibration, on patients that it was not fitted to.

    Attributes:
        log_loss: of the calibrated probabilities.
        compared_with: the method that it had to beat; None for the first.
        difference: its log loss minus that of the method that it had to beat, paired by patient.
    """

    log_loss: Estimate
    compared_with: Method | None = None
    difference: Estimate | None = None


class CalibrationSelection(msgspec.Struct, frozen=True, kw_only=True):
    """The calibration that was taken, and why.

    Attributes:
        requested: for a method, or ``auto`` for the rule of :func:`select_calibration`.
        candidates: by method, from the simplest to the most flexible.
        before, after: slope and intercept without a calibration, and after the one that was taken.
    """

    requested: RequestedMethod
    calibration: Calibration
    candidates: dict[Method, Candidate]
    before: CalibrationEstimates
    after: CalibrationEstimates


def check_requested_method(requested: RequestedMethod, *, gives_probabilities: bool) -> None:
    """Refuse a calibration that would leave scores in the place of probabilities.

    Raises:
        InvalidConfig: the loss is not plain cross-entropy, so that its output is a score, off by
            more than a factor; and less than a line was asked for.
    """
    if not gives_probabilities and requested in ("none", "temperature"):
        raise InvalidConfig(
            f"calibration: expected auto, platt or isotonic with this loss, received {requested!r}: what "
            "it is least for is no probability"
        )


def select_calibration(
    labels: np.ndarray,
    groups: np.ndarray,
    log_odds: np.ndarray,
    *,
    requested: RequestedMethod = "auto",
    gives_probabilities: bool = True,
    seed: int,
    n_splits: int = 10,
) -> tuple[CalibrationSelection, np.ndarray]:
    """Take a calibration, and say what it is worth.

    ``auto`` begins with none, or with Platt's line where the loss gives no probabilities, and goes
    from the simplest method to the most flexible. It moves on to one where the 95 % interval of its
    log loss minus that of the one in hand lies below zero, paired and over patients. What is taken
    is then fitted to all patients.

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
        InvalidConfig: see :func:`check_requested_method`; or too few patients with an outcome for the folds.
    """
    check_requested_method(requested, gives_probabilities=gives_probabilities)
    first: Method = "none" if gives_probabilities else "platt"
    calibrated = {
        method: cross_fit(method, labels, groups, log_odds, seed=seed, n_splits=n_splits)
        for method in METHODS[METHODS.index(first) :]
    }
    taken, candidates = _compare_candidates(labels, groups, calibrated, seed=seed)
    taken = taken if requested == "auto" else requested
    before = estimate_calibration(labels, groups, log_odds, seed=seed)
    after = before
    if taken != "none":
        after = estimate_calibration(labels, groups, calibrated[taken], seed=seed)
    choice = CalibrationSelection(
        requested=requested,
        calibration=fit_calibration(taken, labels, log_odds),
        candidates=candidates,
        before=before,
        after=after,
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
    """Log-odds after a calibration that was fitted on other patients, fold by fold.

    It errs towards no calibration: the networks that gave the log-odds of the other patients have seen
    this one, so that these lean against his outcome. On the bundled table that costs a line .002 to
    .004 of log loss, beside calibrations from networks that have seen him neither.

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


def _compare_candidates(
    labels: np.ndarray, groups: np.ndarray, calibrated: dict[Method, np.ndarray], *, seed: int
) -> tuple[Method, dict[Method, Candidate]]:
    """The method that the rule takes, and what it was taken from."""
    everyone = np.ones((1, len(labels)))
    probabilities = {method: to_probabilities(x) for method, x in calibrated.items()}
    repeats = {
        method: np.concatenate([log_loss(labels, row[None], everyone) for row in p])
        for method, p in probabilities.items()
    }
    draws = {
        method: bootstrap_statistic(partial(log_loss, labels, p), groups, seed=seed)
        for method, p in probabilities.items()
    }
    taken, *others = calibrated
    candidates = {taken: Candidate(log_loss=estimate(draws[taken], repeats[taken]))}
    for method in others:
        difference = estimate(draws[method] - draws[taken], repeats[method] - repeats[taken])
        candidates[method] = Candidate(
            log_loss=estimate(draws[method], repeats[method]),
            compared_with=taken,
            difference=difference,
        )
        taken = method if difference.high < 0 else taken
    return taken, candidates
