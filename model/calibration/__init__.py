"""Calibration of probabilities: the methods, and the selection of one.

methods    Platt scaling, temperature scaling, smoothed isotonic regression
selection  cross-fitted comparison of the methods
"""

from model.calibration.methods import METHOD_NAMES, METHODS, Calibration, Method, RequestedMethod
from model.calibration.selection import (
    CalibrationSelection,
    check_requested_method,
    cross_fit,
    select_calibration,
)

__all__ = [
    "METHODS",
    "METHOD_NAMES",
    "Calibration",
    "CalibrationSelection",
    "Method",
    "RequestedMethod",
    "check_requested_method",
    "cross_fit",
    "select_calibration",
]
