"""Calibration of probabilities: the methods, and the selection of one.

methods    Platt scaling, temperature scaling, smoothed isotonic regression
selection  cross-fitted comparison of the methods
"""

from model.calibration.methods import METHODS, NAMES, Asked, Calibration, Method
from model.calibration.selection import Choice, check_asked, choose_calibration, cross_fit

__all__ = [
    "METHODS",
    "NAMES",
    "Asked",
    "Calibration",
    "Choice",
    "Method",
    "check_asked",
    "choose_calibration",
    "cross_fit",
]
