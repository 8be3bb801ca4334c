from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from model.artifacts import Artifact
from model.features import Encoding
from model.inference import Background, ExplanationData
from model.training import choose_background
from pipelines.data import Table, build_preprocessing, read_encoding


@pytest.fixture(scope="module")
def encoding(table: Table) -> Encoding:
    return read_encoding(table.schema, build_preprocessing(table.schema).fit(table.frame))


def rows(background: Background) -> np.ndarray:
    return np.array(background.values, dtype=np.float64)


def as_set(values: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in values.astype(np.float64)}


def test_an_artifact_holds_fifty_training_rows(artifact: Artifact, table: Table) -> None:
    explanation_data = msgspec.json.decode(artifact.files["explanation.json"], type=ExplanationData)
    assert explanation_data.background.origin == "training rows"
    chosen = rows(explanation_data.background)
    assert chosen.shape == (50, 13)
    assert len(as_set(chosen)) == 50
    assert as_set(chosen) <= as_set(table.values)


def test_the_choice_is_fixed_by_the_seed(table: Table, encoding: Encoding) -> None:
    first, again, other = (
        choose_background(table.schema, encoding, table.values, allow_training_rows=True, seed=seed)
        for seed in (0, 0, 1)
    )
    assert as_set(rows(first)) == as_set(rows(again)) != as_set(rows(other))


@pytest.mark.parametrize("allow_training_rows", [True, False])
def test_the_sample_has_the_means_of_the_training_rows(
    table: Table, encoding: Encoding, allow_training_rows: bool
) -> None:
    """The sample is closer than 98 % of random samples."""
    chosen = choose_background(
        table.schema, encoding, table.values, allow_training_rows=allow_training_rows
    )
    means = encoding.encode(table.values).mean(axis=0)

    def distance(values: np.ndarray) -> float:
        return float(np.square(encoding.encode(values).mean(axis=0) - means).sum())

    draw = np.random.default_rng(99)
    random_distances = [distance(draw.permutation(table.values)[:50]) for _ in range(200)]
    assert distance(rows(chosen)) < np.quantile(random_distances, 0.02)


def test_unpublished_rows_are_not_in_the_sample(table: Table, encoding: Encoding) -> None:
    background = choose_background(table.schema, encoding, table.values, allow_training_rows=False)
    assert background.origin == "synthetic"
    chosen = rows(background)
    assert len(as_set(chosen)) == 50
    assert not as_set(chosen) & as_set(table.values)
    for column, synthetic, known in zip(
        table.schema.columns, chosen.T, table.values.T, strict=True
    ):
        if column.levels:
            assert set(synthetic.tolist()) <= set(known[~np.isnan(known)].tolist())
        else:  # only the ends of the range, which the manifest has too, are patients' values
            assert known.min() <= synthetic.min() and synthetic.max() <= known.max()
            ends = (synthetic == known.min()) | (synthetic == known.max())
            assert not np.isin(synthetic[~ends], known).any()


def test_synthetic_rows_have_the_correlation_of_the_training_rows(
    table: Table, encoding: Encoding
) -> None:
    synthetic = rows(
        choose_background(table.schema, encoding, table.values, allow_training_rows=False)
    )
    names = table.schema.column_names
    age, thalach = names.index("age"), names.index("thalach")
    expected = np.corrcoef(table.values[:, age], table.values[:, thalach])[0, 1]
    correlation = np.corrcoef(synthetic[:, age], synthetic[:, thalach])[0, 1]
    assert expected < -0.3
    assert correlation == pytest.approx(expected, abs=0.25)


def test_a_small_table_is_used_completely(table: Table, encoding: Encoding) -> None:
    few = table.values[:7]
    assert as_set(
        rows(choose_background(table.schema, encoding, few, allow_training_rows=True))
    ) == as_set(few)


def test_missing_values_stay_missing(table: Table, encoding: Encoding) -> None:
    incomplete = table.values[np.isnan(table.values).any(axis=1)]
    assert len(incomplete) == 6
    chosen = rows(choose_background(table.schema, encoding, incomplete, allow_training_rows=True))
    assert np.isnan(chosen).sum() == 6


def test_a_column_without_known_values_stays_missing(table: Table) -> None:
    values = table.values.copy()
    missing = [table.schema.column_names.index(name) for name in ("ca", "chol", "slope")]
    values[:, missing] = np.nan
    part = replace(table, values=values)
    encoding = read_encoding(table.schema, build_preprocessing(table.schema).fit(part.frame))
    chosen = rows(choose_background(table.schema, encoding, values, allow_training_rows=False))
    assert np.isnan(chosen[:, missing]).all()
    assert not np.isnan(np.delete(chosen, missing, axis=1)).any()
