"""Evaluation: metrics with bootstrap intervals, splits, calibration and decision curves.

metrics              log loss, Brier score, AUC, accuracy, calibration error
bootstrap            bootstrap samples of patients, and estimates with intervals
splits               stratified folds and holdouts that keep copies of a record together
comparison           metrics of several models, and paired differences to a baseline
calibration_metrics  calibration slope, intercept, calibration in the large
reliability_curve    observed share of positive outcomes by predicted probability
decision_curve       net benefit and performance at a threshold
"""

from model.evaluation.bootstrap import (
    N_BOOTSTRAP,
    Estimate,
    bootstrap_statistic,
    estimate,
    estimate_or_none,
    nan_mean,
    percentile_interval,
)
from model.evaluation.calibration_metrics import (
    CalibrationEstimates,
    estimate_calibration,
    fit_logistic_line,
)
from model.evaluation.comparison import ModelComparison, compare, log_loss_rise_in_standard_errors
from model.evaluation.decision_curve import (
    DecisionCurve,
    ThresholdPerformance,
    compute_decision_curve,
    threshold_for,
    threshold_performance,
)
from model.evaluation.metrics import (
    METRICS,
    auc,
    brier,
    log_loss,
    prevalence_log_loss,
    record_log_losses,
)
from model.evaluation.reliability_curve import ReliabilityCurve, compute_reliability_curve
from model.evaluation.splits import Split, holdout, repeated_folds

__all__ = [
    "METRICS",
    "N_BOOTSTRAP",
    "CalibrationEstimates",
    "DecisionCurve",
    "Estimate",
    "ModelComparison",
    "ReliabilityCurve",
    "Split",
    "ThresholdPerformance",
    "auc",
    "bootstrap_statistic",
    "brier",
    "compare",
    "compute_decision_curve",
    "compute_reliability_curve",
    "estimate",
    "estimate_calibration",
    "estimate_or_none",
    "fit_logistic_line",
    "holdout",
    "log_loss",
    "log_loss_rise_in_standard_errors",
    "nan_mean",
    "percentile_interval",
    "prevalence_log_loss",
    "record_log_losses",
    "repeated_folds",
    "threshold_for",
    "threshold_performance",
]
