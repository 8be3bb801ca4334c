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
    return np.array(background.values, dtype=np.float32)


def as_set(values: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in values.astype(np.float32)}


def test_an_artifact_names_fifty_training_rows(artifact: Artifact, table: Table) -> None:
    basis = msgspec.json.decode(artifact.files["explanation.json"], type=ExplanationData)
    assert basis.background.origin == "training rows"
    chosen = rows(basis.background)
    assert chosen.shape == (50, 13)
    assert len(as_set(chosen)) == 50
    assert as_set(chosen) <= as_set(table.values)


def test_the_choice_is_fixed_by_the_seed(table: Table, encoding: Encoding) -> None:
    first, again, other = (
        choose_background(table.schema, encoding, table.values, allow_training_rows=True, seed=seed)
        for seed in (0, 0, 1)
    )
    assert as_set(rows(first)) == as_set(rows(again)) != as_set(rows(other))


@pytest.mark.parametrize("may_leave", [True, False])
def test_the_sample_has_the_means_of_the_training_rows(
    table: Table, encoding: Encoding, may_leave: bool
) -> None:
    """Nearer than nearly every sample that is drawn without looking."""
    chosen = choose_background(table.schema, encoding, table.values, allow_training_rows=may_leave)
    means = encoding.encode(table.values).mean(axis=0)

    def distance(values: np.ndarray) -> float:
        return float(np.square(encoding.encode(values).mean(axis=0) - means).sum())

    draw = np.random.default_rng(99)
    blind = [distance(draw.permutation(table.values)[:50]) for _ in range(200)]
    assert distance(rows(chosen)) < np.quantile(blind, 0.02)


def test_rows_that_may_not_leave_are_not_in_it(table: Table, encoding: Encoding) -> None:
    background = choose_background(table.schema, encoding, table.values, allow_training_rows=False)
    assert background.origin == "synthetic"
    chosen = rows(background)
    assert len(as_set(chosen)) == 50
    assert not as_set(chosen) & as_set(table.values)
    for column, drawn, known in zip(table.schema.columns, chosen.T, table.values.T, strict=True):
        if column.levels:
            assert set(drawn.tolist()) <= set(known[~np.isnan(known)].tolist())
        else:  # no number of a patient but the ends of the range, which the manifest tells anyway
            assert known.min() <= drawn.min() and drawn.max() <= np.float32(known.max())
            ends = (drawn == known.min()) | (drawn == np.float32(known.max()))
            assert not np.isin(drawn[~ends], known).any()


def test_made_up_rows_hang_together_like_the_training_rows(
    table: Table, encoding: Encoding
) -> None:
    drawn = rows(choose_background(table.schema, encoding, table.values, allow_training_rows=False))
    names = table.schema.column_names
    age, thalach = names.index("age"), names.index("thalach")
    theirs = np.corrcoef(table.values[:, age], table.values[:, thalach])[0, 1]
    ours = np.corrcoef(drawn[:, age], drawn[:, thalach])[0, 1]
    assert theirs < -0.3
    assert ours == pytest.approx(theirs, abs=0.25)


def test_few_rows_are_all_taken(table: Table, encoding: Encoding) -> None:
    few = table.values[:7]
    assert as_set(
        rows(choose_background(table.schema, encoding, few, allow_training_rows=True))
    ) == as_set(few)


def test_what_is_missing_in_a_row_stays_missing(table: Table, encoding: Encoding) -> None:
    incomplete = table.values[np.isnan(table.values).any(axis=1)]
    assert len(incomplete) == 6
    chosen = rows(choose_background(table.schema, encoding, incomplete, allow_training_rows=True))
    assert np.isnan(chosen).sum() == 6


def test_a_column_that_was_missing_throughout_stays_missing(table: Table) -> None:
    values = table.values.copy()
    gone = [table.schema.column_names.index(name) for name in ("ca", "chol", "slope")]
    values[:, gone] = np.nan
    part = replace(table, values=values)
    encoding = read_encoding(table.schema, build_preprocessing(table.schema).fit(part.frame))
    chosen = rows(choose_background(table.schema, encoding, values, allow_training_rows=False))
    assert np.isnan(chosen[:, gone]).all()
    assert not np.isnan(np.delete(chosen, gone, axis=1)).any()
