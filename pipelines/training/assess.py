"""What the folds say of the probabilities as they will be served: calibrated, and at their threshold."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from model.artifacts import Artifact
from model.calibration import (
    METHOD_NAMES,
    Calibration,
    CalibrationSelection,
    Method,
    RequestedMethod,
    cross_fit,
    select_calibration,
)
from model.evaluation import (
    CalibrationEstimates,
    Estimate,
    ModelComparison,
    ThresholdPerformance,
    compare,
    compute_decision_curve,
    compute_reliability_curve,
    threshold_performance,
)
from model.logit import to_log_odds, to_probabilities
from pipelines.data import Table
from pipelines.evaluation import N_SPLITS, REFERENCE, SEED

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assessment:
    """What the folds say.

    Attributes:
        probabilities: (n_repeats, n), after the calibration that was taken, fitted on other
            patients.
        evaluation: of these.
        at_threshold: what the threshold does.
        metrics: all of it, for the manifest: ``folds``, ``calibration``, ``reliability``,
            ``decision_curve`` and ``threshold``.
    """

    selection: CalibrationSelection
    probabilities: np.ndarray
    evaluation: ModelComparison
    at_threshold: ThresholdPerformance
    metrics: dict[str, Any]

    @property
    def calibration(self) -> Calibration:
        """The one that the network absorbs."""
        return self.selection.calibration


def assess_predictions(
    table: Table,
    evaluation: ModelComparison,
    predicted: Mapping[str, np.ndarray],
    *,
    requested: RequestedMethod,
    cost_ratio: float | None,
    gives_probabilities: bool,
) -> Assessment:
    """Choose the calibration, and compute everything of the probabilities that will be served.

    Args:
        evaluation, predicted: as :func:`pipelines.evaluation.cross_validation.evaluate_recipe` gives them; every
            network of a fold counts as a repeat.
        cost_ratio: what a missed patient costs, in false alarms; None where nobody stated it.
        gives_probabilities: whether the loss does; without, there is always a calibration.

    Raises:
        InvalidConfig: see :func:`model.calibration.selection.check_requested_method`.
    """
    labels, groups = table.labels, table.groups
    predictions = predicted[evaluation.model].reshape(-1, len(table))
    choice, log_odds = select_calibration(
        labels,
        groups,
        to_log_odds(predictions),
        requested=requested,
        gives_probabilities=gives_probabilities,
        seed=SEED,
    )
    if choice.calibration.method != "none":
        predictions = to_probabilities(log_odds)
        evaluation = _reevaluate(table, evaluation, predictions, predicted[REFERENCE])
    at_threshold = threshold_performance(
        labels, groups, predictions, cost_ratio=cost_ratio, seed=SEED
    )
    _log_assessment(choice, at_threshold)
    found = {
        "folds": evaluation,
        "calibration": choice,
        "reliability": compute_reliability_curve(labels, groups, predictions, seed=SEED),
        "decision_curve": compute_decision_curve(labels, groups, predictions, seed=SEED),
        "threshold": at_threshold,
    }
    metrics = {name: msgspec.to_builtins(part) for name, part in found.items()}
    return Assessment(choice, predictions, evaluation, at_threshold, metrics)


def load_calibration(artifact: Artifact) -> Calibration:
    """The calibration that an artifact's network has absorbed; none for one of the first format."""
    return msgspec.json.decode(artifact.files.get("calibration.json", b"{}"), type=Calibration)


def calibrate_out_of_fold(table: Table, predictions: np.ndarray, method: Method) -> np.ndarray:
    """Out-of-fold probabilities after a calibration that was fitted on other patients."""
    if method == "none":
        return predictions
    log_odds = to_log_odds(predictions)
    return to_probabilities(cross_fit(method, table.labels, table.groups, log_odds, seed=SEED))


def _reevaluate(
    table: Table, evaluation: ModelComparison, predictions: np.ndarray, beside: np.ndarray
) -> ModelComparison:
    both = {evaluation.model: predictions, REFERENCE: beside}
    return compare(
        table.labels, table.groups, both, seed=SEED, n_splits=N_SPLITS, baseline=REFERENCE
    )


def _log_assessment(choice: CalibrationSelection, at_threshold: ThresholdPerformance) -> None:
    taken = choice.calibration.method
    logger.info("calibration on the folds: %s", _format_calibration(choice.before))
    logger.info(
        "calibration taken: %s%s; difference in log loss, on patients that it was not fitted to: %s",
        METHOD_NAMES[taken],
        "" if choice.requested == "auto" else ", as asked",
        "; ".join(
            f"{METHOD_NAMES[method]} {_format_signed(trial.difference)} against {METHOD_NAMES[trial.compared_with]}"
            for method, trial in choice.candidates.items()
            if trial.compared_with
        ),
    )
    if taken != "none":
        logger.info("calibration then: %s", _format_calibration(choice.after))
    ratio = f"a missed patient costs {at_threshold.cost_ratio:g} false alarms"
    logger.info(
        "at the threshold %.3g (%s): sensitivity %s, specificity %s, ppv %s, npv %s, net benefit %s",
        at_threshold.threshold,
        ratio if at_threshold.stated else "no cost ratio was stated",
        _format_estimate(at_threshold.sensitivity),
        _format_estimate(at_threshold.specificity),
        _format_estimate(at_threshold.ppv),
        _format_estimate(at_threshold.npv),
        _format_signed(at_threshold.net_benefit),
    )


def _format_calibration(found: CalibrationEstimates) -> str:
    return (
        f"slope {_format_estimate(found.slope)}, intercept {_format_signed(found.intercept)}, "
        f"in the large {_format_signed(found.in_the_large)}"
    )


def _format_estimate(figure: Estimate | None, sign: str = "") -> str:
    return "unknown" if figure is None else figure.format(sign, digits=3)


def _format_signed(figure: Estimate | None) -> str:
    return _format_estimate(figure, "+")
