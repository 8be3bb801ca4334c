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
    """Return every patient twice, once with random missing values: float64 (606, 13)."""
    draw = np.random.default_rng(0)
    incomplete = table.values.copy()
    incomplete[:, 3:][draw.random((303, 10)) < 0.4] = np.nan
    rows = np.concatenate([table.values.copy(), incomplete])
    return rows[draw.permutation(len(rows))]


def with_file(artifact: Artifact, name: str, change: Callable[[Any], Any]) -> Artifact:
    content = change(json.loads(artifact.files[name]))
    return replace(artifact, files={**artifact.files, name: json.dumps(content).encode()})


def without(artifact: Artifact, *names: str) -> Artifact:
    files = {name: data for name, data in artifact.files.items() if name not in names}
    return replace(artifact, files=files)


def probability_by_hand(artifact: Artifact, row: np.ndarray) -> float:
    """Compute the probability of one record from the files by the textbook formulas."""
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    moments = msgspec.json.decode(artifact.files["inputs.json"], type=MissingValueFile).moments
    first, last = json.loads(artifact.files["explanation.json"])["layers"]
    mean, n_features = np.array(moments.means), len(encoding.features)
    total_covariance = np.array(moments.covariance) + RIDGE / moments.n * np.eye(n_features)
    missing = np.isnan(row[list(encoding.columns)])
    m, o = np.flatnonzero(missing), np.flatnonzero(~missing)
    weights = np.linalg.solve(total_covariance[np.ix_(o, o)], total_covariance[np.ix_(o, m)])
    features = encoding.encode(row[None])[0]
    features[m] = mean[m] + (features[o] - mean[o]) @ weights
    covariance = total_covariance[np.ix_(m, m)] - total_covariance[np.ix_(m, o)] @ weights
    kernel, out = np.array(first["kernel"]), np.array(last["kernel"])[:, 0]
    hidden = features @ kernel + first["bias"]
    gradient = (kernel @ ((hidden > 0) * out))[m]
    log_odds = np.maximum(hidden, 0) @ out + last["bias"][0]
    log_odds /= np.sqrt(1 + np.pi / 8 * gradient @ covariance @ gradient)
    return float(1 / (1 + np.exp(-log_odds)))


def test_complete_records_get_exactly_the_probability_of_the_graph(
    artifact: Artifact, values: np.ndarray
) -> None:
    """Also in a batch with incomplete records."""
    complete = ~np.isnan(values).any(axis=1)
    assert 250 < complete.sum() < 350
    graph = OnnxSession(artifact.files["model.onnx"])
    in_mixed_batch = Scorer(artifact).score(values).probabilities
    np.testing.assert_array_equal(in_mixed_batch[complete], graph.probabilities(values)[complete])
    alone = Scorer(artifact).score(values[complete]).probabilities
    np.testing.assert_array_equal(alone, graph.probabilities(values[complete]))
    for row in np.flatnonzero(complete)[:20]:
        single = values[row : row + 1]
        assert Scorer(artifact).score(single).probabilities == graph.probabilities(single)


def test_missing_values_are_imputed_and_the_log_odds_shrunk(
    artifact: Artifact, values: np.ndarray
) -> None:
    probabilities = Scorer(artifact).score(values).probabilities
    mean_imputed = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    incomplete = np.flatnonzero(np.isnan(values).any(axis=1))
    for row in incomplete:
        assert probabilities[row] == pytest.approx(
            probability_by_hand(artifact, values[row]), abs=1e-6
        )
    assert np.abs(probabilities - mean_imputed)[incomplete].mean() > 0.03


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_batch_size_does_not_change_probabilities(
    artifact: Artifact, values: np.ndarray, size: int
) -> None:
    scorer = Scorer(artifact)
    in_one_batch = scorer.score(values).probabilities
    batches = [scorer.score(values[i : i + size]).probabilities for i in range(0, 606, size)]
    np.testing.assert_allclose(np.concatenate(batches), in_one_batch, rtol=0, atol=1e-6)


def test_large_batches_are_imputed_in_blocks(artifact: Artifact, values: np.ndarray) -> None:
    """Rows are sorted by pattern first, so that few patterns are in two blocks."""
    scorer = Scorer(artifact)
    missing_value_scorer: Any = scorer.missing_value_scorer
    before = missing_value_scorer.imputer.cache_info()
    probabilities = scorer.score(np.tile(values, (8, 1))).probabilities.reshape(8, -1)
    after = missing_value_scorer.imputer.cache_info()
    n_requests = after.misses + after.hits - before.misses - before.hits
    n_patterns = len(np.unique(np.isnan(values), axis=0)) - 1  # without the complete ones
    n_blocks = -(-8 * np.isnan(values).any(axis=1).sum() // IMPUTATION_ROWS_PER_BLOCK)
    assert n_blocks > 1 and n_requests < n_patterns + n_blocks
    alone = scorer.score(values).probabilities
    np.testing.assert_allclose(probabilities, np.tile(alone, (8, 1)), atol=1e-6)


def test_shrunk_probabilities_approximate_the_mean_over_the_missing_values(
    artifact: Artifact, values: np.ndarray
) -> None:
    """The shrinkage approximates the mean; here it is estimated from samples of the values."""
    scorer = Scorer(artifact)
    missing_value_scorer: Any = scorer.missing_value_scorer
    draw = np.random.default_rng(1)
    rows = values[np.isnan(values).any(axis=1)][:60]
    imputed = missing_value_scorer.imputer.impute(rows)
    network = missing_value_scorer.network
    means, unshrunk = [], []
    for row in range(len(rows)):
        samples = draw.multivariate_normal(
            imputed.features[row], imputed.covariance(row), 4_000, method="eigh"
        )
        means.append(
            (1 / (1 + np.exp(-network.log_odds(network.first_layer_sums(samples))))).mean()
        )
        unshrunk.append(
            network.log_odds(network.first_layer_sums(imputed.features[row : row + 1]))[0]
        )
    probabilities = scorer.score(rows).probabilities
    unshrunk_probabilities = 1 / (1 + np.exp(-np.array(unshrunk)))
    assert np.abs(probabilities - means).mean() < 0.02
    assert (
        np.abs(unshrunk_probabilities - means).mean() > 1.5 * np.abs(probabilities - means).mean()
    )
    assert (np.abs(probabilities - 0.5) < np.abs(unshrunk_probabilities - 0.5)).all()


def test_shrinkage_is_1_without_variance_and_falls_with_it() -> None:
    np.testing.assert_allclose(shrinkage(np.array([0, 8 / np.pi, 24 / np.pi])), [1, 0.5**0.5, 0.5])


def test_versions_without_the_files_of_imputation_use_means(
    artifact: Artifact, values: np.ndarray
) -> None:
    """Such versions were saved before inputs.json, or before explanation.json, existed."""
    graph = OnnxSession(artifact.files["model.onnx"]).probabilities(values)
    for names in (("inputs.json",), ("inputs.json", "explanation.json")):
        scorer = Scorer(without(artifact, *names))
        assert scorer.missing_value_scorer is None
        np.testing.assert_array_equal(scorer.score(values).probabilities, graph)


def test_golden_probabilities_differ_from_the_graph_where_a_value_is_missing(
    artifact: Artifact,
) -> None:
    golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows)
    probabilities = msgspec.json.decode(
        artifact.files["inputs.json"], type=MissingValueFile
    ).golden_probabilities
    rows = np.array(golden.values, dtype=np.float64)
    missing = np.isnan(rows)
    assert set(np.flatnonzero(missing.any(axis=0))) == set(range(3, 13))
    differs = np.array(probabilities) != golden.probabilities
    np.testing.assert_array_equal(differs, missing.any(axis=1))


def test_different_golden_probabilities_are_refused(artifact: Artifact) -> None:
    def change_probability(content: dict[str, Any]) -> dict[str, Any]:
        content["golden_probabilities"][-1] += 1e-4
        return content

    with pytest.raises(
        GoldenRowsDiffer, match="version 1: with imputed values, the golden probabilities differ"
    ):
        Scorer(with_file(artifact, "inputs.json", change_probability))


def change_covariance(content: dict[str, Any]) -> dict[str, Any]:
    content["moments"]["covariance"][5][5] *= 1.01
    return content


def test_a_changed_covariance_is_refused(artifact: Artifact) -> None:
    with pytest.raises(GoldenRowsDiffer):
        Scorer(with_file(artifact, "inputs.json", change_covariance))


def change_bias(content: dict[str, Any]) -> dict[str, Any]:
    content["layers"][1]["bias"][0] += 1e-4
    return content


def test_layers_that_differ_from_the_graph_are_refused(artifact: Artifact) -> None:
    with pytest.raises(GoldenRowsDiffer):
        Scorer(with_file(artifact, "explanation.json", change_bias))


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
def test_files_that_do_not_fit_are_refused(
    artifact: Artifact, name: str, change: Callable[[Any], Any]
) -> None:
    with pytest.raises(ArtifactDamaged, match="version 1: missing values cannot be imputed"):
        Scorer(with_file(artifact, name, change))


def test_inputs_hold_moments_and_no_training_row(artifact: Artifact) -> None:
    """They hold a count, means and covariances, and the probabilities of the golden rows."""
    content = json.loads(artifact.files["inputs.json"])
    assert set(content) == {"moments", "golden_probabilities"}
    assert set(content["moments"]) == {"n", "means", "covariance"}
    assert np.array(content["moments"]["covariance"]).shape == (29, 29)


def test_a_new_version_is_not_written_without_inputs(artifact: Artifact, tmp_path: Any) -> None:
    assert "inputs.json" in FILES
    with pytest.raises(ValueError, match=r"inputs\.json"):
        write_artifact(tmp_path / "9", artifact.manifest, without(artifact, "inputs.json").files)


def test_a_schema_without_optional_columns_needs_no_imputation(artifact: Artifact) -> None:
    columns = tuple(
        msgspec.structs.replace(column, required=True) for column in artifact.schema.columns
    )
    strict = replace(artifact, schema=msgspec.structs.replace(artifact.schema, columns=columns))
    golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows).probabilities
    strict = with_file(strict, "inputs.json", lambda c: {**c, "golden_probabilities": golden})
    assert Scorer(strict).missing_value_scorer is None


def test_the_imputer_gives_features_and_variances(artifact: Artifact, values: np.ndarray) -> None:
    """Intervals use the imputed features and the variances of other networks' log-odds."""
    scorer = Scorer(read_artifact(artifact.folder)).missing_value_scorer
    assert isinstance(scorer, MissingValueScorer)
    imputed = scorer.imputer.impute(values[:10])
    assert imputed.features.shape == (10, 29)
    assert imputed.variances(np.ones((100, 10, 29))).shape == (100, 10)


def test_setting_up_the_runtime_loads_a_valid_graph_and_leaves_no_thread() -> None:
    """A thread does not survive a fork, and waiting for it would never end."""
    onnx.checker.check_model(onnx.load_from_string(onnx_session._IDENTITY_MODEL))
    program = (
        "import os; os.environ['OPENBLAS_NUM_THREADS'] = '1'; from model import inference;"
        "inference.set_up_runtime(); print(len(os.listdir('/proc/self/task')))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert result.stdout.strip() == "1", result.stderr
