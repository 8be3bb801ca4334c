"""Inference: probabilities, intervals and explanations from an artifact, without Keras.

onnx_session       an ONNX graph opened in ONNX Runtime with one thread
scorer             probabilities, labels and predictions of records
missing_values     probabilities of records with missing values
input_warnings     missing values and values outside the training ranges
activations        activation functions and their backward passes in NumPy
dense_network      dense networks evaluated with NumPy, one or many at once
intervals          bootstrap intervals of predicted probabilities
explainer          contributions of the columns to one prediction
shapley            Shapley values, exact and sampled
coalition_network  the network evaluated on coalitions of columns
"""

from model.inference.activations import ACTIVATIONS, LEAKY_RELU_SLOPE, ActivationName
from model.inference.coalition_network import Background, ExplanationData, load_coalition_network
from model.inference.dense_network import (
    DenseLayer,
    DenseNetwork,
    MemberLayer,
    StackedDenseNetwork,
)
from model.inference.explainer import Explainer, Explanation
from model.inference.input_warnings import InputNotes
from model.inference.intervals import (
    INTERVAL_LEVEL,
    SPREAD_FACTOR,
    BootstrapFile,
    EnsembleScorer,
    Interval,
    IntervalEstimator,
    interval_bounds,
)
from model.inference.missing_values import (
    MissingValueScorer,
    build_missing_value_file,
    load_missing_value_scorer,
    optional_columns,
)
from model.inference.onnx_session import OnnxSession, set_up_runtime
from model.inference.scorer import Prediction, Scorer, Scores

__all__ = [
    "ACTIVATIONS",
    "INTERVAL_LEVEL",
    "LEAKY_RELU_SLOPE",
    "SPREAD_FACTOR",
    "ActivationName",
    "Background",
    "BootstrapFile",
    "DenseLayer",
    "DenseNetwork",
    "EnsembleScorer",
    "Explainer",
    "Explanation",
    "ExplanationData",
    "InputNotes",
    "Interval",
    "IntervalEstimator",
    "MemberLayer",
    "MissingValueScorer",
    "OnnxSession",
    "Prediction",
    "Scorer",
    "Scores",
    "StackedDenseNetwork",
    "build_missing_value_file",
    "interval_bounds",
    "load_coalition_network",
    "load_missing_value_scorer",
    "optional_columns",
    "set_up_runtime",
]
