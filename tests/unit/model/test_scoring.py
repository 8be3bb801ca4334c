from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from model.artifacts import Artifact, GoldenRows
from model.artifacts.artifact import FILES, read_artifact, write_artifact
from model.errors import ArtifactDamaged, GoldenRowsDiffer
from model.features import Encoding
from model.features.gaussian_imputation import RIDGE
from model.inference import MissingValueScorer, OnnxSession, Scorer, onnx_session
from model.inference.missing_values import IMPUTATION_ROWS_PER_BLOCK, MissingValueFile, shrinkage
from pipelines.data import Table
from tests.conftest import ROOT


@pytest.fixture
def values(table: Table) -> np.ndarray:
    """float32 (600, 13): every patient as they are, and once more with holes."""
    draw = np.random.default_rng(0)
    holes = table.values.astype(np.float32)
    holes[:, 3:][draw.random((303, 10)) < 0.4] = np.nan
    both = np.concatenate([table.values.astype(np.float32), holes])
    return both[draw.permutation(len(both))]


def with_file(artifact: Artifact, name: str, change: Callable[[Any], Any]) -> Artifact:
    content = change(json.loads(artifact.files[name]))
    return replace(artifact, files={**artifact.files, name: json.dumps(content).encode()})


def without(artifact: Artifact, *names: str) -> Artifact:
    files = {name: data for name, data in artifact.files.items() if name not in names}
    return replace(artifact, files=files)


def by_hand(artifact: Artifact, row: np.ndarray) -> float:
    """The answer to one record from the numbers in the files, as the formula stands in the books."""
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    inputs = msgspec.json.decode(artifact.files["inputs.json"], type=MissingValueFile).moments
    first, last = json.loads(artifact.files["explanation.json"])["layers"]
    mean, n_features = np.array(inputs.means), len(encoding.features)
    spread = np.array(inputs.covariance) + RIDGE / inputs.n * np.eye(n_features)
    missing = np.isnan(row[list(encoding.columns)])
    m, o = np.flatnonzero(missing), np.flatnonzero(~missing)
    weights = np.linalg.solve(spread[np.ix_(o, o)], spread[np.ix_(o, m)])
    x = encoding.encode(row[None])[0]
    x[m] = mean[m] + (x[o] - mean[o]) @ weights
    covariance = spread[np.ix_(m, m)] - spread[np.ix_(m, o)] @ weights
    kernel, out = np.array(first["kernel"]), np.array(last["kernel"])[:, 0]
    hidden = x @ kernel + first["bias"]
    gradient = (kernel @ ((hidden > 0) * out))[m]
    log_odds = np.maximum(hidden, 0) @ out + last["bias"][0]
    log_odds /= np.sqrt(1 + np.pi / 8 * gradient @ covariance @ gradient)
    return float(1 / (1 + np.exp(-log_odds)))


def test_complete_records_are_answered_by_the_graph_to_the_last_bit(
    artifact: Artifact, values: np.ndarray
) -> None:
    """Whatever stands beside them, and whatever the artifact knows of its inputs."""
    complete = ~np.isnan(values).any(axis=1)
    assert 250 < complete.sum() < 350
    graph = OnnxSession(artifact.files["model.onnx"])
    mixed = Scorer(artifact).score(values).probabilities
    np.testing.assert_array_equal(mixed[complete], graph.probabilities(values)[complete])
    alone = Scorer(artifact).score(values[complete]).probabilities
    np.testing.assert_array_equal(alone, graph.probabilities(values[complete]))
    for row in np.flatnonzero(complete)[:20]:
        one = values[row : row + 1]
        assert Scorer(artifact).score(one).probabilities == graph.probabilities(one)


def test_missing_values_are_filled_and_the_answer_is_drawn_to_one_half(
    artifact: Artifact, values: np.ndarray
) -> None:
    found = Scorer(artifact).score(values).probabilities
    means = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    incomplete = np.flatnonzero(np.isnan(values).any(axis=1))
    for row in incomplete:
        assert found[row] == pytest.approx(by_hand(artifact, values[row]), abs=1e-6)
    assert np.abs(found - means)[incomplete].mean() > 0.03


@pytest.mark.parametrize("size", [1, 7, 64])
def test_incomplete_batches_of_other_sizes_agree(
    artifact: Artifact, values: np.ndarray, size: int
) -> None:
    scorer = Scorer(artifact)
    together = scorer.score(values).probabilities
    parts = [scorer.score(values[i : i + size]).probabilities for i in range(0, 606, size)]
    np.testing.assert_allclose(np.concatenate(parts), together, rtol=0, atol=1e-6)


def test_great_batches_are_answered_in_parts(artifact: Artifact, values: np.ndarray) -> None:
    """Sorted by pattern before, so that hardly a pattern is in two parts."""
    scorer = Scorer(artifact)
    incomplete: Any = scorer.missing_value_scorer
    asked = incomplete.imputer.cache_info
    before = asked()
    found = scorer.score(np.tile(values, (8, 1))).probabilities.reshape(8, -1)
    n_asked = asked().misses + asked().hits - before.misses - before.hits
    n_patterns = len(np.unique(np.isnan(values), axis=0)) - 1  # without the complete ones
    n_parts = -(-8 * np.isnan(values).any(axis=1).sum() // IMPUTATION_ROWS_PER_BLOCK)
    assert n_parts > 1 and n_asked < n_patterns + n_parts
    alone = scorer.score(values).probabilities
    np.testing.assert_allclose(found, np.tile(alone, (8, 1)), atol=1e-6)


def test_the_answer_is_the_mean_over_what_the_missing_values_may_be(
    artifact: Artifact, values: np.ndarray
) -> None:
    """The shrinkage is an approximation of this mean; drawn here, it is within two points."""
    scorer = Scorer(artifact)
    incomplete: Any = scorer.missing_value_scorer
    draw = np.random.default_rng(1)
    rows = values[np.isnan(values).any(axis=1)][:60]
    filled = incomplete.imputer.impute(rows)
    network = incomplete.network
    means, unshrunk = [], []
    for row in range(len(rows)):
        drawn = draw.multivariate_normal(
            filled.features[row], filled.covariance(row), 4_000, method="eigh"
        )
        means.append((1 / (1 + np.exp(-network.log_odds(network.first_layer_sums(drawn))))).mean())
        unshrunk.append(
            network.log_odds(network.first_layer_sums(filled.features[row : row + 1]))[0]
        )
    answers = scorer.score(rows).probabilities
    certain = 1 / (1 + np.exp(-np.array(unshrunk)))
    assert np.abs(answers - means).mean() < 0.02
    assert np.abs(certain - means).mean() > 1.5 * np.abs(answers - means).mean()
    assert (np.abs(answers - 0.5) < np.abs(certain - 0.5)).all()


def test_shrinkage_is_none_for_the_certain_and_grows() -> None:
    np.testing.assert_allclose(shrinkage(np.array([0, 8 / np.pi, 24 / np.pi])), [1, 0.5**0.5, 0.5])


def test_a_version_of_before_fills_with_means(artifact: Artifact, values: np.ndarray) -> None:
    """Written before inputs.json, or before explanation.json as well."""
    graph = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    for names in (("inputs.json",), ("inputs.json", "explanation.json")):
        scorer = Scorer(without(artifact, *names))
        assert scorer.missing_value_scorer is None
        np.testing.assert_array_equal(scorer.score(values).probabilities, graph)


@pytest.mark.parametrize("layers", [None, []])
def test_a_network_without_open_layers_is_answered_by_the_graph(
    artifact: Artifact, values: np.ndarray, layers: list[Any] | None
) -> None:
    """As it is where an activation is one's own; its golden answers are then the graph's."""
    golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows).probabilities
    closed = with_file(artifact, "explanation.json", lambda c: {**c, "layers": layers})
    closed = with_file(closed, "inputs.json", lambda c: {**c, "golden_probabilities": golden})
    scorer = Scorer(closed)
    assert scorer.missing_value_scorer is None
    expected = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    np.testing.assert_array_equal(scorer.score(values).probabilities, expected)


def test_an_artifact_says_what_it_answers_where_something_is_missing(artifact: Artifact) -> None:
    golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows)
    answers = msgspec.json.decode(
        artifact.files["inputs.json"], type=MissingValueFile
    ).golden_probabilities
    rows = np.array(golden.values, dtype=np.float32)
    missing = np.isnan(rows)
    assert set(np.flatnonzero(missing.any(axis=0))) == set(range(3, 13))
    different = np.array(answers) != golden.probabilities
    np.testing.assert_array_equal(different, missing.any(axis=1))


def test_answers_that_are_not_those_of_the_golden_rows_are_refused(artifact: Artifact) -> None:
    def other(content: dict[str, Any]) -> dict[str, Any]:
        content["golden_probabilities"][-1] += 1e-4
        return content

    with pytest.raises(GoldenRowsDiffer, match="version 1: answers to records with missing values"):
        Scorer(with_file(artifact, "inputs.json", other))


def lesser_covariance(content: dict[str, Any]) -> dict[str, Any]:
    content["moments"]["covariance"][5][5] *= 1.01
    return content


def test_another_covariance_is_noticed(artifact: Artifact) -> None:
    with pytest.raises(GoldenRowsDiffer):
        Scorer(with_file(artifact, "inputs.json", lesser_covariance))


def more_bias(content: dict[str, Any]) -> dict[str, Any]:
    content["layers"][1]["bias"][0] += 1e-4
    return content


def test_layers_that_are_not_the_graphs_are_noticed(artifact: Artifact) -> None:
    with pytest.raises(GoldenRowsDiffer):
        Scorer(with_file(artifact, "explanation.json", more_bias))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("inputs.json", lambda content: {}),
        ("inputs.json", lambda content: {**content, "surplus": 1}),
        ("inputs.json", lambda content: {**content, "golden_probabilities": []}),
        ("inputs.json", lambda content: {**content, "moments": {**content["moments"], "n": 0}}),
        ("explanation.json", lambda content: {"layers": content["layers"][:1]}),
        ("explanation.json", lambda content: {"layers": 1}),
    ],
)
def test_files_that_do_not_fit_are_damaged(
    artifact: Artifact, name: str, change: Callable[[Any], Any]
) -> None:
    with pytest.raises(ArtifactDamaged, match="version 1: missing values cannot be filled"):
        Scorer(with_file(artifact, name, change))


def test_the_inputs_hold_no_row(artifact: Artifact) -> None:
    """29 means, 29 x 29 covariances, a count, and answers to rows that are made up."""
    content = json.loads(artifact.files["inputs.json"])
    assert set(content) == {"moments", "golden_probabilities"}
    assert set(content["moments"]) == {"n", "means", "covariance"}
    assert np.array(content["moments"]["covariance"]).shape == (29, 29)


def test_a_new_version_is_not_written_without_inputs(artifact: Artifact, tmp_path: Any) -> None:
    assert "inputs.json" in FILES
    with pytest.raises(ValueError, match=r"inputs\.json"):
        write_artifact(tmp_path / "9", artifact.manifest, without(artifact, "inputs.json").files)


def test_one_column_known_for_certain_needs_no_inputs(artifact: Artifact) -> None:
    """A schema in which everything must be known has nothing to fill."""
    columns = tuple(
        msgspec.structs.replace(column, required=True) for column in artifact.schema.columns
    )
    strict = replace(artifact, schema=msgspec.structs.replace(artifact.schema, columns=columns))
    golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows).probabilities
    strict = with_file(strict, "inputs.json", lambda c: {**c, "golden_probabilities": golden})
    assert Scorer(strict).missing_value_scorer is None


def test_what_answers_can_be_asked_for_its_parts(artifact: Artifact, values: np.ndarray) -> None:
    """Intervals ask for the filled features, and for the variance of any other network's answer."""
    incomplete = Scorer(read_artifact(artifact.folder)).missing_value_scorer
    assert isinstance(incomplete, MissingValueScorer)
    filled = incomplete.imputer.impute(values[:10])
    assert filled.features.shape == (10, 29)
    assert filled.variances(np.ones((100, 10, 29))).shape == (100, 10)


def test_the_runtime_is_set_up_with_a_valid_graph_and_leaves_no_thread() -> None:
    """A thread would not be there after a fork, and whoever waits for it would wait for good."""
    onnx.checker.check_model(onnx.load_from_string(onnx_session._IDENTITY_MODEL))
    program = (
        "import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'; from model import inference;"
        "inference.set_up_runtime(); print(len(os.listdir('/proc/self/task')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert found.stdout.strip() == "1", found.stderr
