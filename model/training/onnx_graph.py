"""Preprocessing and network as one ONNX graph, from the values of a record to a probability.

The service runs this graph. It is written from the numbers of an artifact, so it is the same for
every Keras backend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.features import Encoding
from model.inference import LEAKY_RELU_SLOPE, DenseLayer

OPSET, IR_VERSION = 20, 9
"""The lowest versions that have the operator Gelu."""

_OPERATORS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": LEAKY_RELU_SLOPE}),
    "elu": ("Elu", {}),
    "gelu": ("Gelu", {}),
    "softplus": ("Softplus", {}),
    "tanh": ("Tanh", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {}),
    "linear": ("Identity", {}),
}


def build_graph(encoding: Encoding, layers: Sequence[DenseLayer]) -> bytes:
    """Return preprocessing and network as a serialised ONNX graph with one input, ``values``.

    Values are centred in double precision, so that a column of large numbers that differ by little
    keeps its digits, and then computed with in single precision. A missing level is one more
    level: its row of the first kernel is the sum of the column's other rows, weighted by their
    fills. So a missing value needs no operator for each feature.

    The table is transposed, because ONNX Runtime computes faster on rows of n numbers.

    **Shape**: float64 (n, n_columns), missing as NaN → float32 (n, 1) probabilities.

    Args:
        encoding: the fitted preprocessing.
        layers: the network, in order; the last one has one unit.

    Raises:
        ValueError: a column has levels and is also standardised.
    """
    graph = _GraphBuilder()
    n_numbers = len(encoding.means)
    number_columns, level_columns = encoding.columns[:n_numbers], encoding.columns[n_numbers:]
    if set(number_columns) & set(level_columns):
        raise ValueError("a column has levels and is also standardised")
    offsets, scales = np.zeros(encoding.n_columns), np.ones(encoding.n_columns)
    substitutes = np.zeros(encoding.n_columns)
    offsets[list(number_columns)] = encoding.means
    scales[list(number_columns)] = encoding.scales
    substitutes[list(number_columns)] = encoding.fills[:n_numbers]
    columns, codes = list(level_columns), list(encoding.codes)
    kernel = np.array(layers[0].kernel)
    rows = [kernel]
    for column in dict.fromkeys(level_columns):
        features = n_numbers + np.flatnonzero(np.array(level_columns) == column)
        offsets[column] = encoding.codes[features[0] - n_numbers]
        substitutes[column] = max(encoding.codes[i - n_numbers] for i in features) + 1
        rows.append(np.array(encoding.fills)[features] @ kernel[features][None])
        columns.append(column)
        codes.append(substitutes[column])
        substitutes[column] -= offsets[column]
    x = graph.add("Sub", "values", graph.constant(offsets))
    x = graph.add("Cast", x, to=TensorProto.FLOAT)
    x = graph.add("Transpose", x, perm=[1, 0])
    x = graph.add("Div", x, graph.constant(scales[:, None], np.float32))
    is_missing = graph.add("IsNaN", x)
    x = graph.add("Where", is_missing, graph.constant(substitutes[:, None], np.float32), x)
    parts = []
    if number_columns:
        parts.append(graph.add("Gather", x, graph.constant(number_columns, np.int64), axis=0))
    if columns:
        levels = graph.add("Gather", x, graph.constant(columns, np.int64), axis=0)
        centred = (np.array(codes) - offsets[columns])[:, None]
        is_level = graph.add("Equal", levels, graph.constant(centred, np.float32))
        parts.append(graph.add("Cast", is_level, to=TensorProto.FLOAT))
    x = graph.add("Concat", *parts, axis=0)
    kernels = [np.concatenate(rows), *(layer.kernel for layer in layers[1:])]
    for number, (layer, weights) in enumerate(zip(layers, kernels, strict=True)):
        bias = graph.constant(layer.bias, np.float32)
        x = graph.add("Gemm", x, graph.constant(weights, np.float32), bias, transA=int(not number))
        x = graph.activate(layer.activation, x)
    return graph.serialize(encoding.n_columns, x)


class _GraphBuilder:
    """The nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: Any, dtype: type = np.float64) -> str:
        """Add a constant and return its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def activate(self, activation: str, x: str) -> str:
        """Add an activation and return the name of its output."""
        if activation == "silu":  # Swish is an operator from opset 24 on
            return self.add("Mul", x, self.add("Sigmoid", x))
        operator, attributes = _OPERATORS[activation]
        return self.add(operator, x, **attributes)

    def serialize(self, n_columns: int, output: str) -> bytes:
        """Return the checked graph."""
        values = helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["n", n_columns])
        probability = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", 1])
        graph = helper.make_graph(
            self._nodes, "values_to_probability", [values], [probability], self._constants
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()
