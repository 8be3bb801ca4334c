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
    found = keras.ops.convert_to_numpy(EncodingLayer(encoding)(table.values.astype(np.float32)))
    np.testing.assert_allclose(found, preprocessing.transform(table.frame), atol=1e-6)


def test_the_graph_is_the_saved_preprocessing_and_weights(artifact: Artifact, table: Table) -> None:
    whole = join_encoding(*rebuild_network(artifact.files))
    values = table.values.astype(np.float32)
    served = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    rebuilt = keras.ops.convert_to_numpy(whole(values))[:, 0]
    np.testing.assert_allclose(served, rebuilt, atol=1e-6)


def test_the_graph_can_be_rebuilt_from_the_saved_weights(artifact: Artifact, table: Table) -> None:
    again = build_graph(*rebuild_network(artifact.files))
    values = table.values.astype(np.float32)
    np.testing.assert_allclose(
        OnnxSession(again).probabilities(values),
        OnnxSession(artifact.files["model.onnx"]).probabilities(values),
        atol=1e-7,
    )


def test_everything_missing_still_gives_a_probability(artifact: Artifact) -> None:
    values = np.full((3, 13), np.nan, dtype=np.float32)
    found = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    assert np.isfinite(found).all() and (found > 0).all() and (found < 1).all()


def test_batches_of_any_size_agree(artifact: Artifact, table: Table) -> None:
    graph = OnnxSession(artifact.files["model.onnx"])
    values = table.values.astype(np.float32)
    whole = graph.probabilities(values)
    for size in (1, 2, 7, 100):
        parts = [graph.probabilities(values[i : i + size]) for i in range(0, 303, size)]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


def test_an_encoding_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        Encoding(
            n_columns=1, features=("a",), columns=(0,), means=(), scales=(), codes=(), fills=(0.0,)
        )


def test_answers_keep_their_order(artifact: Artifact, table: Table) -> None:
    scorer = Scorer(artifact)
    values = table.values.astype(np.float32)
    forward = [p.probability for p in scorer.predict(values)]
    backward = [p.probability for p in scorer.predict(values[::-1])]
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-6)
    missing = [row for row, p in enumerate(scorer.predict(values)) if p.missing]
    assert missing == np.flatnonzero(np.isnan(values).any(axis=1)).tolist()
