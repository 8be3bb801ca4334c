"""Evaluation: metrics with bootstrap intervals, splits, calibration and decision curves.

metrics              log loss, Brier score, AUC, accuracy, calibration error
bootstrap            bootstrap samples of patients, estimates with intervals
splits               stratified folds and holdouts that keep copies together
comparison           models compared on the same folds
calibration_metrics  calibration slope, intercept, calibration in the large
reliability_curve    observed against predicted frequencies
decision_curve       net benefit and performance at a threshold
"""

from model.evaluation.bootstrap import (
    N_BOOTSTRAP,
    Figure,
    bootstrapped,
    figure,
    figure_if_any,
    interval,
    mean_of_known,
)
from model.evaluation.calibration_metrics import CalibrationFigures, calibration_figures, fit_line
from model.evaluation.comparison import Evaluation, compare, standard_errors_worse
from model.evaluation.decision_curve import (
    DecisionCurve,
    Performance,
    decision_curve,
    performance,
    threshold_for,
)
from model.evaluation.metrics import METRICS, auc, brier, log_loss
from model.evaluation.reliability_curve import ReliabilityCurve, reliability_curve
from model.evaluation.splits import Split, holdout, repeated_folds

__all__ = [
    "METRICS",
    "N_BOOTSTRAP",
    "CalibrationFigures",
    "DecisionCurve",
    "Evaluation",
    "Figure",
    "Performance",
    "ReliabilityCurve",
    "Split",
    "auc",
    "bootstrapped",
    "brier",
    "calibration_figures",
    "compare",
    "decision_curve",
    "figure",
    "figure_if_any",
    "fit_line",
    "holdout",
    "interval",
    "log_loss",
    "mean_of_known",
    "performance",
    "reliability_curve",
    "repeated_folds",
    "standard_errors_worse",
    "threshold_for",
]
