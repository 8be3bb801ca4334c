"""Inference: probabilities, intervals and explanations from an artifact, without Keras.

onnx_session       an ONNX graph, opened with one thread
scorer             values to probabilities and predictions
missing_values     probabilities of records with missing values
input_warnings     warnings about missing and unfamiliar values
dense_network      a dense network in NumPy
intervals          bootstrap intervals of probabilities
explainer          Shapley values of the columns of a record
shapley            Shapley values, exact and sampled
coalition_network  the network evaluated on coalitions of columns
"""

from model.inference.coalition_network import Background, Basis, fold
from model.inference.dense_network import DenseLayer, DenseNetwork
from model.inference.explainer import Explainer, Explanation
from model.inference.input_warnings import Remarks
from model.inference.intervals import (
    LEVEL,
    SPREAD,
    Band,
    Interval,
    IntervalEstimator,
    MemberLayer,
    Members,
    bounds,
)
from model.inference.missing_values import (
    Incomplete,
    columns_that_may_be_missing,
    complete,
    open_incomplete,
)
from model.inference.onnx_session import Graph, set_up_runtime
from model.inference.scorer import Prediction, Scorer, Scores

__all__ = [
    "LEVEL",
    "SPREAD",
    "Background",
    "Band",
    "Basis",
    "DenseLayer",
    "DenseNetwork",
    "Explainer",
    "Explanation",
    "Graph",
    "Incomplete",
    "Interval",
    "IntervalEstimator",
    "MemberLayer",
    "Members",
    "Prediction",
    "Remarks",
    "Scorer",
    "Scores",
    "bounds",
    "columns_that_may_be_missing",
    "complete",
    "fold",
    "open_incomplete",
    "set_up_runtime",
]
