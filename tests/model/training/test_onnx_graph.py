from __future__ import annotations

import keras
import numpy as np
import pytest

from model.artifacts import Artifact
from model.features import Encoding
from model.inference import ACTIVATIONS, DenseLayer, DenseNetwork, OnnxSession, Scorer
from model.training import build_graph, read_layers
from pipelines.data import Table
from pipelines.training.reload import rebuild_network


def keras_probabilities(artifact: Artifact, values: np.ndarray) -> np.ndarray:
    """Return the probabilities of the saved preprocessing and weights, without the graph."""
    encoding, network = rebuild_network(artifact.files)
    return keras.ops.convert_to_numpy(network(encoding.encode(values)))[:, 0]


def test_the_graph_equals_the_saved_preprocessing_and_weights(
    artifact: Artifact, table: Table
) -> None:
    """Also where values are missing, in every combination of three columns."""
    values = np.concatenate([table.values] * 8)
    for bit, column in enumerate((0, 2, 12)):
        values[np.arange(len(values)) // len(table) & 1 << bit > 0, column] = np.nan
    served = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    np.testing.assert_allclose(served, keras_probabilities(artifact, values), atol=1e-6)


def test_the_graph_can_be_rebuilt_from_the_saved_weights(artifact: Artifact) -> None:
    encoding, network = rebuild_network(artifact.files)
    assert build_graph(encoding, read_layers(network)) == artifact.files["model.onnx"]


def linear_network(kernel: list[list[float]]) -> list[DenseLayer]:
    return [DenseLayer(kernel=kernel, bias=[0.0], activation="linear")]


def test_large_numbers_that_differ_by_little_keep_their_digits() -> None:
    """Day numbers around 16 million, in single precision, would differ by 1 or by nothing."""
    days = 1.6e7 + np.arange(1000) / 8
    encoding = Encoding(
        n_columns=1,
        features=("day",),
        columns=(0,),
        means=(float(days.mean()),),
        scales=(float(days.std()),),
        codes=(),
        fills=(0.0,),
    )
    graph = OnnxSession(build_graph(encoding, linear_network([[1.0]])))
    expected = (days - days.mean()) / days.std()
    np.testing.assert_allclose(graph.probabilities(days[:, None]), expected, atol=1e-6)


def test_levels_with_large_codes_are_told_apart() -> None:
    codes = (2.0**40, 2.0**40 + 1, 2.0**40 + 2)
    encoding = Encoding(
        n_columns=1,
        features=("a", "b", "c"),
        columns=(0, 0, 0),
        means=(),
        scales=(),
        codes=codes,
        fills=(0.25, 0.25, 0.5),
    )
    graph = OnnxSession(build_graph(encoding, linear_network([[1.0], [2.0], [4.0]])))
    values = np.array([*codes, np.nan])[:, None]
    np.testing.assert_allclose(graph.probabilities(values), [1, 2, 4, 2.75])


def test_a_column_with_levels_is_not_standardised() -> None:
    encoding = Encoding(
        n_columns=1,
        features=("a", "b"),
        columns=(0, 0),
        means=(0.0,),
        scales=(1.0,),
        codes=(1.0,),
        fills=(0.0, 0.0),
    )
    with pytest.raises(ValueError, match="also standardised"):
        build_graph(encoding, linear_network([[1.0], [1.0]]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_activation_is_the_same_in_keras_in_numpy_and_in_the_graph(activation: str) -> None:
    draw = np.random.default_rng(2)
    kernel, last = draw.normal(size=(3, 8)), draw.normal(size=(8, 1)) / 8
    keras_layer = keras.layers.Dense(8, activation)
    network = keras.Sequential([keras.Input((3,)), keras_layer, keras.layers.Dense(1, "sigmoid")])
    network.set_weights([kernel, np.zeros(8), last, np.zeros(1)])
    layers = read_layers(network)
    assert layers[0].activation == activation
    features = draw.normal(size=(400, 3)) * np.logspace(-3, 1.5, 400)[:, None]
    encoding = Encoding(
        n_columns=3,
        features=("a", "b", "c"),
        columns=(0, 1, 2),
        means=(0.0,) * 3,
        scales=(1.0,) * 3,
        codes=(),
        fills=(0.0,) * 3,
    )
    expected = keras.ops.convert_to_numpy(network(features))[:, 0]
    graph = OnnxSession(build_graph(encoding, layers)).probabilities(features)
    np.testing.assert_allclose(graph, expected, atol=1e-6)
    dense = DenseNetwork(layers, 3, np.float64)
    log_odds = dense.log_odds(dense.first_layer_sums(features))
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), expected, atol=1e-6)


def test_records_without_any_value_have_a_probability(artifact: Artifact) -> None:
    values = np.full((3, 13), np.nan)
    probabilities = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_the_batch_size_does_not_change_the_probabilities(artifact: Artifact, table: Table) -> None:
    graph = OnnxSession(artifact.files["model.onnx"])
    expected = graph.probabilities(table.values)
    for size in (1, 2, 7, 100):
        batches = [graph.probabilities(table.values[i : i + size]) for i in range(0, 303, size)]
        np.testing.assert_allclose(np.concatenate(batches), expected, atol=1e-6)


def test_an_inconsistent_encoding_is_rejected() -> None:
    with pytest.raises(ValueError, match="length"):
        Encoding(
            n_columns=1, features=("a",), columns=(0,), means=(), scales=(), codes=(), fills=(0.0,)
        )


def test_predictions_keep_the_order_of_the_records(artifact: Artifact, table: Table) -> None:
    scorer = Scorer(artifact)
    forward = [p.probability for p in scorer.predict(table.values)]
    backward = [p.probability for p in scorer.predict(table.values[::-1])]
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)
    missing = [row for row, p in enumerate(scorer.predict(table.values)) if p.missing]
    assert missing == np.flatnonzero(np.isnan(table.values).any(axis=1)).tolist()
