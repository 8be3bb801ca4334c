"""Assessment of out-of-fold predictions: calibration, decision threshold, metrics.

Everything is computed from the probabilities as they will be served, after the calibration.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

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
    """An assessment of out-of-fold predictions.

    Attributes:
        selection: the selected calibration and its candidates.
        probabilities: float64 (n_repeats, n), after the selected calibration, fitted on other
            patients.
        evaluation: the comparison of these probabilities with the baseline.
        at_threshold: sensitivity, specificity and so on at the decision threshold.
        metrics: all results for the manifest: ``folds``, ``calibration``, ``reliability``,
            ``decision_curve`` and ``threshold``.
    """

    selection: CalibrationSelection
    probabilities: np.ndarray
    evaluation: ModelComparison
    at_threshold: ThresholdPerformance
    metrics: dict[str, Any]

    @property
    def calibration(self) -> Calibration:
        """Return the calibration that becomes part of the network."""
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
    """Select the calibration and compute all metrics of the calibrated probabilities.

    Args:
        evaluation, predicted: the results of
            :func:`pipelines.evaluation.cross_validation.evaluate_recipe`; every network of a fold
            counts as a repeat.
        requested: a calibration method, or ``auto``.
        cost_ratio: cost of a missed patient relative to a false alarm; None if it is not given.
        gives_probabilities: True if minimising the training loss yields probabilities; otherwise a
            calibration is always applied.

    Raises:
        InvalidConfig: see :func:`model.calibration.selection.check_requested_method`.
    """
    labels, groups = table.labels, table.groups
    predictions = predicted[evaluation.model].reshape(-1, len(table))
    selection, log_odds = select_calibration(
        labels,
        groups,
        to_log_odds(predictions),
        requested=requested,
        gives_probabilities=gives_probabilities,
        seed=SEED,
    )
    if selection.calibration.method != "none":
        predictions = to_probabilities(log_odds)
        evaluation = _reevaluate(table, evaluation, predictions, predicted[REFERENCE])
    at_threshold = threshold_performance(
        labels, groups, predictions, cost_ratio=cost_ratio, seed=SEED
    )
    _log_assessment(selection, at_threshold)
    results = {
        "folds": evaluation,
        "calibration": selection,
        "reliability": compute_reliability_curve(labels, groups, predictions, seed=SEED),
        "decision_curve": compute_decision_curve(labels, groups, predictions, seed=SEED),
        "threshold": at_threshold,
    }
    metrics = {name: msgspec.to_builtins(result) for name, result in results.items()}
    return Assessment(selection, predictions, evaluation, at_threshold, metrics)


def calibrate_out_of_fold(table: Table, predictions: np.ndarray, method: Method) -> np.ndarray:
    """Return out-of-fold probabilities after a calibration that was fitted on other patients."""
    if method == "none":
        return predictions
    log_odds = to_log_odds(predictions)
    return to_probabilities(cross_fit(method, table.labels, table.groups, log_odds, seed=SEED))


def _reevaluate(
    table: Table, evaluation: ModelComparison, predictions: np.ndarray, baseline: np.ndarray
) -> ModelComparison:
    return compare(
        table.labels,
        table.groups,
        {evaluation.model: predictions, REFERENCE: baseline},
        seed=SEED,
        n_splits=N_SPLITS,
        baseline=REFERENCE,
    )


def _log_assessment(selection: CalibrationSelection, at_threshold: ThresholdPerformance) -> None:
    method = selection.calibration.method
    logger.info("Out-of-fold calibration: %s.", _format_calibration(selection.before))
    logger.info(
        "Calibration method: %s (%s). Cross-fitted difference in log loss: %s.",
        METHOD_NAMES[method],
        "selected automatically" if selection.requested == "auto" else "as requested",
        "; ".join(
            f"{METHOD_NAMES[candidate]} {_format_signed(trial.difference)} "
            f"against {METHOD_NAMES[trial.compared_with]}"
            for candidate, trial in selection.candidates.items()
            if trial.compared_with
        ),
    )
    if method != "none":
        logger.info("Calibration after that: %s.", _format_calibration(selection.after))
    logger.info(
        "Threshold %.3g (%s): sensitivity %s, specificity %s, PPV %s, NPV %s, net benefit %s.",
        at_threshold.threshold,
        f"cost ratio {at_threshold.cost_ratio:g}" if at_threshold.stated else "no cost ratio given",
        _format_estimate(at_threshold.sensitivity),
        _format_estimate(at_threshold.specificity),
        _format_estimate(at_threshold.ppv),
        _format_estimate(at_threshold.npv),
        _format_signed(at_threshold.net_benefit),
    )


def _format_calibration(calibration: CalibrationEstimates) -> str:
    return (
        f"slope {_format_estimate(calibration.slope)}, "
        f"intercept {_format_signed(calibration.intercept)}, "
        f"in the large {_format_signed(calibration.in_the_large)}"
    )


def _format_estimate(figure: Estimate | None, sign: str = "") -> str:
    return "undefined" if figure is None else figure.format(sign, digits=3)


def _format_signed(figure: Estimate | None) -> str:
    return _format_estimate(figure, "+")
