from __future__ import annotations

import keras
import numpy as np
import pytest

from model.artifacts import Artifact
from model.features import Encoding
from model.inference import OnnxSession, Scorer
from model.training import build_graph
from model.training.onnx_graph import EncodingLayer, join_encoding
from pipelines.data import Table, build_preprocessing, read_encoding
from pipelines.training.export import rebuild_network


def test_the_layer_encodes_like_the_column_transformer(table: Table) -> None:
    preprocessing = build_preprocessing(table.schema).fit(table.frame)
    encoding = read_encoding(table.schema, preprocessing)
    features = keras.ops.convert_to_numpy(EncodingLayer(encoding)(table.values.astype(np.float32)))
    np.testing.assert_allclose(features, preprocessing.transform(table.frame), atol=1e-6)


def test_the_graph_equals_the_saved_preprocessing_and_weights(
    artifact: Artifact, table: Table
) -> None:
    network = join_encoding(*rebuild_network(artifact.files))
    values = table.values.astype(np.float32)
    served = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    rebuilt = keras.ops.convert_to_numpy(network(values))[:, 0]
    np.testing.assert_allclose(served, rebuilt, atol=1e-6)


def test_the_graph_can_be_rebuilt_from_the_saved_weights(artifact: Artifact, table: Table) -> None:
    rebuilt = build_graph(*rebuild_network(artifact.files))
    values = table.values.astype(np.float32)
    np.testing.assert_allclose(
        OnnxSession(rebuilt).probabilities(values),
        OnnxSession(artifact.files["model.onnx"]).probabilities(values),
        atol=1e-7,
    )


def test_records_without_any_value_have_a_probability(artifact: Artifact) -> None:
    values = np.full((3, 13), np.nan, dtype=np.float32)
    probabilities = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_the_batch_size_does_not_change_the_probabilities(artifact: Artifact, table: Table) -> None:
    graph = OnnxSession(artifact.files["model.onnx"])
    values = table.values.astype(np.float32)
    expected = graph.probabilities(values)
    for size in (1, 2, 7, 100):
        batches = [graph.probabilities(values[i : i + size]) for i in range(0, 303, size)]
        np.testing.assert_allclose(np.concatenate(batches), expected, atol=1e-6)


def test_an_inconsistent_encoding_is_rejected() -> None:
    with pytest.raises(ValueError, match="length"):
        Encoding(
            n_columns=1, features=("a",), columns=(0,), means=(), scales=(), codes=(), fills=(0.0,)
        )


def test_predictions_keep_the_order_of_the_records(artifact: Artifact, table: Table) -> None:
    scorer = Scorer(artifact)
    values = table.values.astype(np.float32)
    forward = [p.probability for p in scorer.predict(values)]
    backward = [p.probability for p in scorer.predict(values[::-1])]
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)
    missing = [row for row, p in enumerate(scorer.predict(values)) if p.missing]
    assert missing == np.flatnonzero(np.isnan(values).any(axis=1)).tolist()
