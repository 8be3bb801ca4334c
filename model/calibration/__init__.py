"""Calibration of probabilities: the methods, and the selection of one.

methods    Platt scaling, temperature scaling, smoothed isotonic regression
selection  cross-fitted comparison of the methods
"""

from model.calibration.methods import METHODS, NAMES, Calibration, Method, RequestedMethod
from model.calibration.selection import (
    CalibrationSelection,
    check_requested_method,
    cross_fit,
    select_calibration,
)

__all__ = [
    "METHODS",
    "NAMES",
    "Calibration",
    "CalibrationSelection",
    "Method",
    "RequestedMethod",
    "check_requested_method",
    "cross_fit",
    "select_calibration",
]
