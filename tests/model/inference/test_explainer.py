from __future__ import annotations

import itertools
import json
import math
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import msgspec
import numpy as np
import pytest
import shap

from model.artifacts import Artifact, GoldenRows, golden_values
from model.artifacts.artifact import read_artifact, write_artifact
from model.errors import ArtifactDamaged, ExplanationUnavailable
from model.features import Encoding, fit_feature_moments
from model.inference import (
    Background,
    Explainer,
    Explanation,
    ExplanationData,
    OnnxSession,
    Scorer,
    load_missing_value_scorer,
)
from model.inference.explainer import MAX_EXACT_COLUMNS
from model.inference.missing_values import MissingValueFile
from model.training import TrainingConfig, build_network, choose_background, read_layers
from pipelines.data import Table, build_preprocessing, read_encoding
from tests.conftest import explainer_of, remove_optional_files

LogOdds = Callable[[np.ndarray], np.ndarray]
# Two complete records, one without ca, one without thal.
PATIENTS = (0, 150, 166, 87)


@pytest.fixture
def values(table: Table) -> np.ndarray:
    return table.values.copy()


def background_part(artifact: Artifact) -> Background:
    return msgspec.json.decode(artifact.files["explanation.json"], type=ExplanationData).background


def background_of(artifact: Artifact) -> np.ndarray:
    return np.array(background_part(artifact).values, dtype=np.float64)


def log_odds_of_graph(artifact: Artifact) -> LogOdds:
    graph = OnnxSession(artifact.files["model.onnx"])

    def log_odds(values: np.ndarray) -> np.ndarray:
        probabilities = graph.probabilities(values).astype(np.float64)
        return np.log(probabilities / (1 - probabilities))

    return log_odds


def contributions(explanation: Explanation) -> np.ndarray:
    return np.array(list(explanation.contributions.values()))


def by_definition(log_odds: LogOdds, row: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Compute Shapley values from every order of the columns and every background row."""
    n_columns = len(row)

    def worth(members: tuple[int, ...]) -> float:
        mixed = background.copy()
        mixed[:, list(members)] = row[list(members)]
        return float(log_odds(mixed).mean())

    totals = np.zeros(n_columns)
    for order in itertools.permutations(range(n_columns)):
        for position, column in enumerate(order):
            totals[column] += worth(order[: position + 1]) - worth(order[:position])
    return totals / math.factorial(n_columns)


def toy(
    table: Table, names: tuple[str, ...], folder: Path, **choices: Any
) -> tuple[Artifact, LogOdds, keras.Model]:
    """Return an artifact with few columns and an untrained network, and its log-odds by Keras."""
    columns = tuple(column for column in table.schema.columns if column.name in names)
    schema = msgspec.structs.replace(table.schema, columns=columns, subgroups=())
    indices = [table.schema.column_names.index(column.name) for column in columns]
    subset = replace(table, schema=schema, values=table.values[:, indices])
    encoding = read_encoding(schema, build_preprocessing(schema).fit(subset.frame))
    config = TrainingConfig(initial_weights="glorot", **choices)
    network = build_network(config, len(encoding.features))
    draw = np.random.default_rng(5)
    network.set_weights([w + draw.normal(0, 0.3, w.shape) for w in network.get_weights()])
    background = choose_background(schema, encoding, subset.values[:20], allow_training_rows=True)
    inputs = fit_feature_moments(encoding.encode(subset.values))
    files = {
        "encoding.json": msgspec.json.encode(encoding),
        "inputs.json": msgspec.json.encode(
            MissingValueFile(moments=inputs, golden_probabilities=[])
        ),
    }
    manifest: Any = None  # not used by explanations
    artifact = Artifact(folder, manifest, schema, files)
    return (
        with_network(artifact, network, background),
        log_odds_of_keras(encoding, network),
        network,
    )


def with_network(artifact: Artifact, network: keras.Model, background: Background) -> Artifact:
    """Return the artifact with the layers of a network and its golden probabilities by Keras."""
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    golden = golden_values(artifact.schema)
    outputs = keras.ops.convert_to_numpy(network(encoding.encode(golden)))[:, 0].tolist()
    explanation_data = ExplanationData(background=background, layers=read_layers(network))
    files = {
        **artifact.files,
        "golden.json": msgspec.json.encode(GoldenRows(golden.tolist(), outputs)),
        "explanation.json": msgspec.json.encode(explanation_data),
    }
    return replace(artifact, files=files)


def log_odds_of_keras(encoding: Encoding, network: keras.Model) -> LogOdds:
    """Return :func:`log_odds_of_features` as a function of values, with the graph's encoding."""
    log_odds = log_odds_of_features(network)
    return lambda values: log_odds(encoding.encode(values))


def log_odds_of_features(network: keras.Model) -> LogOdds:
    """Return log-odds computed before the sigmoid, which has too few digits far from 0."""
    last = network.layers[-1]
    before = keras.Model(network.input, last.input)
    kernel, bias = (weights.astype(np.float64) for weights in last.get_weights())

    def log_odds(features: np.ndarray) -> np.ndarray:
        hidden = before(keras.ops.cast(features, "float32"))
        return (keras.ops.convert_to_numpy(hidden) @ kernel + bias)[:, 0]

    return log_odds


def by_definition_where_missing(
    artifact: Artifact, log_odds: LogOdds, row: np.ndarray
) -> tuple[np.ndarray, float]:
    """Compute :func:`by_definition` with imputation and with the shrinkage of the log-odds.

    Returns:
        The contributions, and the log-odds of the prediction.
    """
    missing_value_scorer = load_missing_value_scorer(artifact.schema, artifact.files)
    assert missing_value_scorer is not None
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    columns = np.array(encoding.columns)
    imputed = missing_value_scorer.imputer.impute(row[None])
    features, covariance = imputed.features[0], imputed.covariance(0)
    background = encoding.encode(background_of(artifact))
    _, gradients = missing_value_scorer.network.log_odds_and_gradients(imputed.features)
    unshrunk = float(log_odds(features[None])[0])

    def worth(members: tuple[int, ...]) -> float:
        mixed = background.copy()
        is_member = np.isin(columns, members)
        mixed[:, is_member] = features[is_member]
        member_gradients = gradients[0] * is_member
        variance = member_gradients @ covariance @ member_gradients
        shrinkage = unshrunk * (1 / math.sqrt(1 + math.pi / 8 * variance) - 1)
        return float(log_odds(mixed).mean()) + shrinkage

    n_columns = len(row)
    totals = np.zeros(n_columns)
    for order in itertools.permutations(range(n_columns)):
        for position, column in enumerate(order):
            totals[column] += worth(order[: position + 1]) - worth(order[:position])
    return totals / math.factorial(n_columns), worth(tuple(range(n_columns)))


def with_explanation_data(artifact: Artifact, change: Callable[[dict[str, Any]], None]) -> Artifact:
    """Return the artifact after a change of explanation.json, with valid checksums."""
    content = json.loads(artifact.files["explanation.json"])
    change(content)
    files = {**artifact.files, "explanation.json": json.dumps(content).encode()}
    shutil.rmtree(artifact.folder)
    return write_artifact(artifact.folder, artifact.manifest, files)


def test_contributions_are_those_of_shap(artifact: Artifact, values: np.ndarray) -> None:
    """SHAP's exact explainer evaluates the ONNX graph for all coalitions and background rows.

    The graph imputes means, like a version without inputs.json.
    """
    remove_optional_files(artifact, "inputs.json")
    artifact = read_artifact(artifact.folder)
    background = background_of(artifact)
    masker = shap.maskers.Independent(background, max_samples=len(background))
    shap_explainer = shap.explainers.Exact(log_odds_of_graph(artifact), masker)
    rows = np.concatenate([values[list(PATIENTS)], np.full((1, 13), np.nan, np.float64)])
    assert np.isnan(rows).any(axis=1).sum() == 3
    expected = shap_explainer(rows, max_evals=2**13)
    for row, explanation in enumerate(explainer_of(artifact).explain(rows)):
        np.testing.assert_allclose(contributions(explanation), expected.values[row], atol=2e-5)
        assert explanation.base == pytest.approx(expected.base_values[row], abs=1e-5)


def test_contributions_sum_to_the_log_odds_of_every_patient(
    artifact: Artifact, values: np.ndarray
) -> None:
    predictions = Scorer(artifact).predict(values)
    explained = explainer_of(artifact).explain(values)
    assert len(explained) == 303
    for prediction, explanation in zip(predictions, explained, strict=True):
        assert tuple(explanation.contributions) == artifact.schema.column_names
        total = explanation.base + sum(explanation.contributions.values())
        assert total == pytest.approx(explanation.log_odds, abs=1e-5)
        log_odds = math.log(prediction.probability / (1 - prediction.probability))
        assert explanation.log_odds == pytest.approx(log_odds, abs=1e-4)


@pytest.mark.parametrize("max_exact_columns", [MAX_EXACT_COLUMNS, 0])
def test_contributions_sum_to_the_log_odds_with_missing_values(
    artifact: Artifact, values: np.ndarray, max_exact_columns: int
) -> None:
    """Single columns, random ones and all optional ones are missing; the base is the same."""
    rows = np.repeat(values[:1], 10, axis=0)
    rows[np.arange(10), np.arange(3, 13)] = np.nan
    incomplete = values[:60].copy()
    incomplete[:, 3:][np.random.default_rng(0).random((60, 10)) < 0.5] = np.nan
    incomplete[0, 3:] = np.nan
    rows = np.concatenate([rows, incomplete])
    probabilities = Scorer(artifact).score(rows).probabilities.astype(np.float64)
    explained = explainer_of(artifact, max_exact_columns=max_exact_columns).explain(rows)
    for probability, explanation in zip(probabilities, explained, strict=True):
        total = explanation.base + sum(explanation.contributions.values())
        assert total == pytest.approx(explanation.log_odds, abs=1e-9)
        assert explanation.log_odds == pytest.approx(
            math.log(probability / (1 - probability)), abs=1e-5
        )
    (base,) = {explanation.base for explanation in explained}
    assert base == explainer_of(artifact).explain(values[:1])[0].base


def test_complete_records_are_explained_without_imputation(
    artifact: Artifact, values: np.ndarray
) -> None:
    """inputs.json affects only records with missing values."""
    rows = values[~np.isnan(values).any(axis=1)][:20]
    explanations = explainer_of(artifact).explain(rows)
    remove_optional_files(artifact, "inputs.json")
    for explanation, without_inputs in zip(
        explanations, explainer_of(read_artifact(artifact.folder)).explain(rows), strict=True
    ):
        np.testing.assert_allclose(
            contributions(explanation), contributions(without_inputs), atol=1e-12
        )


def test_the_base_is_the_mean_over_the_background(artifact: Artifact, values: np.ndarray) -> None:
    expected = log_odds_of_graph(artifact)(background_of(artifact)).mean()
    assert explainer_of(artifact).explain(values[:1])[0].base == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("hidden", "activation"),
    [
        ((), "relu"),
        ((16,), "relu"),
        ((7, 5), "relu"),
        ((6,), "leaky_relu"),
        ((6, 3), "tanh"),
        ((6,), "sigmoid"),
        ((4, 4), "linear"),
    ],
)
def test_contributions_follow_the_definition(
    table: Table, tmp_path: Path, hidden: tuple[int, ...], activation: str
) -> None:
    """A number, a category and an ordinal; missing values in records and background."""
    names = ("oldpeak", "slope", "ca")
    artifact, log_odds, network = toy(table, names, tmp_path, hidden=hidden, activation=activation)
    background = background_of(artifact)
    background[3, 2] = background[4, 1] = np.nan
    incomplete = Background(origin="synthetic", seed=0, values=background.tolist())
    artifact = with_network(artifact, network, incomplete)
    rows = np.array([[2.3, 3, 0], [0, 1, np.nan], [-10, np.nan, 3], [np.nan] * 3], np.float64)
    without_inputs = replace(
        artifact, files={n: f for n, f in artifact.files.items() if n != "inputs.json"}
    )
    of_features = log_odds_of_features(network)
    for row, explanation, with_means in zip(
        rows,
        explainer_of(artifact).explain(rows),
        explainer_of(without_inputs).explain(rows),
        strict=True,
    ):
        expected = by_definition(log_odds, row, background)
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(contributions(with_means), expected, atol=1e-5)
        expected, log_odds_of_row = by_definition_where_missing(artifact, of_features, row)
        np.testing.assert_allclose(contributions(explanation), expected, atol=1e-5)
        assert explanation.log_odds == pytest.approx(log_odds_of_row, abs=1e-5)
        differ = np.abs(contributions(explanation) - contributions(with_means)).max() > 1e-3
        if not np.isnan(row).all():  # for which both impute means
            assert differ == np.isnan(row).any()


def test_the_shrinkage_is_attributed_to_the_missing_column(table: Table, tmp_path: Path) -> None:
    """Known columns contribute as much as if the imputed values were known."""
    artifact, _, _ = toy(table, ("oldpeak", "slope", "ca"), tmp_path)
    row = np.array([[2.3, np.nan, 1]], np.float64)
    explanation = explainer_of(artifact).explain(row)[0]
    missing_value_scorer = load_missing_value_scorer(artifact.schema, artifact.files)
    assert missing_value_scorer is not None
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    slope = encoding.features.index("slope")
    imputed = missing_value_scorer.imputer.impute(row).features[0, slope]
    known = row.copy()
    known[0, 1] = imputed * encoding.scales[slope] + encoding.means[slope]
    explanation_of_known = explainer_of(artifact).explain(known)[0]
    for name in ("oldpeak", "ca"):
        assert explanation.contributions[name] == pytest.approx(
            explanation_of_known.contributions[name], abs=1e-5
        )
    shrinkage = explanation.log_odds - explanation_of_known.log_odds
    assert abs(shrinkage) > 1e-3
    of_slope = explanation.contributions["slope"] - explanation_of_known.contributions["slope"]
    assert of_slope == pytest.approx(shrinkage, abs=1e-5)


def test_a_column_that_the_network_does_not_read_contributes_nothing(
    table: Table, tmp_path: Path
) -> None:
    artifact, _, network = toy(table, ("age", "sex", "ca"), tmp_path)
    kernel, *others = network.get_weights()
    kernel[1:3] = 0  # the features are age, sex=0, sex=1, ca=0, …
    network.set_weights([kernel, *others])
    artifact = with_network(artifact, network, background_part(artifact))
    rows = np.array([[50, 0, 1], [60, 1, np.nan]], np.float64)
    for explanation in explainer_of(artifact).explain(rows):
        assert explanation.contributions["sex"] == 0
        assert explanation.contributions["age"] != 0


def test_equivalent_columns_contribute_equally(table: Table, tmp_path: Path) -> None:
    artifact, _, network = toy(table, ("age", "fbs", "exang"), tmp_path)
    kernel, *others = network.get_weights()
    kernel[1:3] = kernel[3:5]  # the features are age, fbs=0, fbs=1, exang=0, exang=1
    network.set_weights([kernel, *others])
    background = background_of(artifact)
    background[:, 1] = background[:, 2]
    equal_columns = Background(origin="synthetic", seed=0, values=background.tolist())
    artifact = with_network(artifact, network, equal_columns)
    for value in (0, 1):
        row = np.array([[61, value, value]], np.float64)
        by_column = explainer_of(artifact).explain(row)[0].contributions
        assert by_column["fbs"] == pytest.approx(by_column["exang"], abs=1e-6)
        assert abs(by_column["fbs"]) > 1e-3


def test_the_only_background_row_has_no_contributions(table: Table, tmp_path: Path) -> None:
    artifact, log_odds, network = toy(table, ("age", "sex", "ca"), tmp_path)
    rows = background_of(artifact)[:1]
    background = Background(origin="synthetic", seed=0, values=rows.tolist())
    explanation = explainer_of(with_network(artifact, network, background)).explain(rows)[0]
    assert explanation.contributions == {"age": 0, "sex": 0, "ca": 0}
    assert explanation.base == explanation.log_odds
    assert explanation.base == pytest.approx(log_odds(rows)[0], abs=1e-5)


def test_exact_contributions_have_no_standard_error(artifact: Artifact, values: np.ndarray) -> None:
    explanation = explainer_of(artifact).explain(values[:1])[0]
    assert explanation.standard_errors is None
    assert b"standard_errors" not in msgspec.json.encode(explanation)


def test_sampling_agrees_within_four_standard_errors(
    artifact: Artifact, values: np.ndarray
) -> None:
    rows = values[::10].copy()
    rows[::2, 3:][np.random.default_rng(0).random((16, 10)) < 0.4] = np.nan
    estimated = explainer_of(artifact, max_exact_columns=12).explain(rows)
    errors = []
    for exact, estimate in zip(explainer_of(artifact).explain(rows), estimated, strict=True):
        assert estimate.standard_errors is not None
        assert tuple(estimate.standard_errors) == artifact.schema.column_names
        errors.append(list(estimate.standard_errors.values()))
        distances = np.abs(contributions(estimate) - contributions(exact))
        assert (distances <= 4 * np.array(errors[-1]) + 1e-6).all()
        total = estimate.base + sum(estimate.contributions.values())
        assert total == pytest.approx(estimate.log_odds, abs=1e-9)
        assert (estimate.base, estimate.log_odds) == (exact.base, exact.log_odds)
    spread = np.sqrt(np.square(errors).mean())
    assert 0 < spread < 0.01, "the errors must be small compared with contributions of about 0.3"


def test_sampling_is_reproducible(artifact: Artifact, values: np.ndarray) -> None:
    """In a batch or as a single record, and from another explainer."""
    batch = explainer_of(artifact, max_exact_columns=0).explain(values[:3])
    (single,) = explainer_of(artifact, max_exact_columns=0).explain(values[2:3])
    assert single.contributions == pytest.approx(batch[2].contributions, abs=1e-12)
    assert single.standard_errors == pytest.approx(batch[2].standard_errors, abs=1e-12)
    assert (single.base, single.log_odds) == pytest.approx((batch[2].base, batch[2].log_odds))


@pytest.mark.parametrize("n_columns", [MAX_EXACT_COLUMNS, MAX_EXACT_COLUMNS + 1])
def test_up_to_fifteen_columns_are_exact(table: Table, tmp_path: Path, n_columns: int) -> None:
    age = table.schema.columns[0]
    columns = tuple(msgspec.structs.replace(age, name=f"c{i}") for i in range(n_columns))
    schema = msgspec.structs.replace(table.schema, columns=columns, subgroups=())
    numbers = np.random.default_rng(1).uniform(1, 120, (30, n_columns)).round()
    wide = replace(table, schema=schema, values=numbers)
    artifact, log_odds, _ = toy(wide, schema.column_names, tmp_path)
    row = np.linspace(20, 90, n_columns, dtype=np.float64)[None]
    explanation = explainer_of(artifact).explain(row)[0]
    assert (explanation.standard_errors is None) == (n_columns <= 15)
    total = explanation.base + sum(explanation.contributions.values())
    assert total == pytest.approx(log_odds(row)[0], abs=1e-5)


def test_an_old_version_predicts_and_its_error_names_the_remedy(
    artifact: Artifact, values: np.ndarray
) -> None:
    assert explainer_of(artifact).available
    remove_optional_files(artifact, "explanation.json", "inputs.json")
    old = read_artifact(artifact.folder)
    assert Scorer(old).predict(values[:5]) == Scorer(artifact).predict(values[:5])
    explainer = explainer_of(old)
    assert not explainer.available
    with pytest.raises(
        ExplanationUnavailable, match=r"version 1 was trained without.*make retrain"
    ):
        explainer.explain(values[:1])


def test_a_file_that_is_not_in_the_manifest_is_refused(artifact: Artifact) -> None:
    remove_optional_files(artifact, "explanation.json")
    (artifact.folder / "explanation.json").write_bytes(artifact.files["explanation.json"])
    with pytest.raises(ArtifactDamaged, match=r"explanation\.json is not listed in the manifest"):
        read_artifact(artifact.folder)


def test_a_version_without_explanation_data_can_be_written(
    artifact: Artifact, tmp_path: Path, values: np.ndarray
) -> None:
    golden = msgspec.json.decode(artifact.files["golden.json"], type=GoldenRows).probabilities
    inputs = msgspec.json.decode(artifact.files["inputs.json"], type=MissingValueFile).moments
    files = {n: data for n, data in artifact.files.items() if n != "explanation.json"}
    files["inputs.json"] = msgspec.json.encode(
        MissingValueFile(moments=inputs, golden_probabilities=golden)
    )
    unexplained = write_artifact(tmp_path / "9", artifact.manifest, files)
    assert not explainer_of(unexplained).available
    graph = OnnxSession(artifact.files["model.onnx"])
    np.testing.assert_array_equal(
        Scorer(unexplained).score(values).probabilities, graph.probabilities(values)
    )


def set_to(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        content[path[-1]] = value

    return change


def more_bias(content: dict[str, Any]) -> None:
    content["layers"][1]["bias"][0] += 1e-4


def without_unit(content: dict[str, Any]) -> None:
    for row in content["layers"][0]["kernel"]:
        row.pop()


@pytest.mark.parametrize(
    "change",
    [
        more_bias,
        without_unit,
        set_to("layers", 0, "kernel", 28, 3, value=0.5),
        set_to("layers", 0, "activation", value="tanh"),
        set_to("layers", 0, "activation", value="planted:function"),
        set_to("layers", 1, "activation", value="linear"),
        set_to("layers", 0, "bias", 0, value=None),
        set_to("layers", 0, "bias", 0, value=1e60),
        set_to("layers", value=[]),
        set_to("background", "values", value=[]),
        set_to("background", "values", value=[[1.0]]),
        set_to("background", "values", 0, value=[1.0]),
        set_to("surplus", value=1),
    ],
)
def test_explanation_data_that_differ_from_the_graph_are_refused(
    artifact: Artifact, change: Callable[[dict[str, Any]], None]
) -> None:
    """The checksums are valid."""
    changed = with_explanation_data(artifact, change)
    with pytest.raises(ArtifactDamaged, match="version 1: explanations cannot be computed"):
        Explainer(changed, None)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]"])
def test_invalid_explanation_data_are_refused(artifact: Artifact, data: bytes) -> None:
    files = {**artifact.files, "explanation.json": data}
    with pytest.raises(ArtifactDamaged, match="explanations cannot be computed"):
        Explainer(replace(artifact, files=files), None)


def test_empty_golden_rows_are_refused(artifact: Artifact) -> None:
    files = {**artifact.files, "golden.json": b'{"values": [], "probabilities": []}'}
    with pytest.raises(ArtifactDamaged, match=r"golden\.json must hold"):
        Explainer(replace(artifact, files=files), None)


def test_memory_is_bounded(table: Table, tmp_path: Path) -> None:
    """8,192 coalitions of 256 units take 8 MB per background row, 400 MB for all rows at once."""
    artifact, _, _ = toy(table, table.schema.column_names, tmp_path, hidden=(256,))
    explainer = explainer_of(artifact)
    unlike_background = np.array([[20.5, 7, 9, 50, 50, 7, 9, 30, 7, 9.5, 9, 9, 9]], np.float64)
    explainer.explain(unlike_background)
    tracemalloc.start()
    explainer.explain(unlike_background)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3e6
