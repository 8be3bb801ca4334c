"""What a fitted recipe answers, without the detour by way of an artifact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.activations import is_own
from model.conditional import ConditionalMeans, measure_inputs
from model.config import TrainingConfig
from model.dense import DenseNetwork
from model.incomplete import Incomplete, columns_that_may_be_missing
from model.network import read_layers
from model.schema import Schema
from model.training import predict
from pipelines.fitting import FittedPipeline
from pipelines.preprocessing import read_encoding
from pipelines.tables import Table

Answer = Callable[[np.ndarray], np.ndarray]
"""float32 (n, n_columns), missing as NaN → (n,) probabilities."""


def answers_of(fitted: FittedPipeline, table: Table, config: TrainingConfig) -> Answer:
    """The answers that a version would give which is made of a fitted pipeline, to about 1e-6.

    Args:
        table, config: that it was fitted on, and by.
    """
    schema: Schema = table.schema
    encoding = read_encoding(schema, fitted.preprocessing)
    columns = columns_that_may_be_missing(schema)
    if not columns or is_own(config.activation):
        return lambda values: predict(fitted.fit.network, encoding.encode(values))
    inputs = measure_inputs(encoding.encode(table.values[fitted.rows]))
    network = DenseNetwork(read_layers(fitted.fit.network), len(encoding.features), np.float64)
    return Incomplete(ConditionalMeans(inputs, encoding, columns), network).probabilities
