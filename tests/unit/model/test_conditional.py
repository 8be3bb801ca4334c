"""Held against the formula as the textbooks have it, one record at a time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from model.features import (
    ConditionalGaussianImputer,
    Encoding,
    FeatureMoments,
    fit_feature_moments,
)
from model.features.gaussian_imputation import CACHE_BYTES, RIDGE
from pipelines.data import Table, build_preprocessing, read_encoding

N_COLUMNS = 13
KNOWN = (0, 1, 2)
OPEN = tuple(range(3, 13))


@pytest.fixture(scope="module")
def encoding(table: Table) -> Encoding:
    return read_encoding(table.schema, build_preprocessing(table.schema).fit(table.frame))


@pytest.fixture(scope="module")
def inputs(table: Table, encoding: Encoding) -> FeatureMoments:
    return fit_feature_moments(encoding.encode(table.values))


@pytest.fixture(scope="module")
def conditional(inputs: FeatureMoments, encoding: Encoding) -> ConditionalGaussianImputer:
    return ConditionalGaussianImputer(inputs, encoding, OPEN)


def with_holes(table: Table, n: int, seed: int = 0) -> np.ndarray:
    """float32 (n, 13): patients with columns missing at random, among them none and all of ten."""
    draw = np.random.default_rng(seed)
    values = table.values[draw.integers(0, len(table), n)].astype(np.float32)
    holes = draw.random((n, len(OPEN))) < draw.random((n, 1))
    values[:, 3:][holes] = np.nan
    values[0], values[1, 3:] = table.values[0], np.nan
    return values


def by_the_book(
    inputs: FeatureMoments, encoding: Encoding, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The conditional mean and covariance of one record, through the known features."""
    mean = np.array(inputs.means)
    spread = np.array(inputs.covariance) + RIDGE / inputs.n * np.eye(len(mean))
    missing = np.isnan(row[list(encoding.columns)])
    m, o = np.flatnonzero(missing), np.flatnonzero(~missing)
    features = encoding.encode(row[None])[0]
    weights = np.linalg.solve(spread[np.ix_(o, o)], spread[np.ix_(o, m)])
    features[m] = mean[m] + (features[o] - mean[o]) @ weights
    covariance = np.zeros_like(spread)
    covariance[np.ix_(m, m)] = spread[np.ix_(m, m)] - spread[np.ix_(m, o)] @ weights
    return features, covariance


def test_the_inputs_are_standardised(
    inputs: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    assert inputs.n == 303
    np.testing.assert_allclose(inputs.means, encoding.fills, atol=1e-12)
    variances = np.diagonal(np.array(inputs.covariance))
    np.testing.assert_allclose(variances[:6], 1, atol=1e-9)
    share = (table.values[:, 1] == 1).mean()
    assert inputs.means[encoding.features.index("sex=1")] == pytest.approx(share)


def test_records_are_filled_by_the_formula(
    conditional: ConditionalGaussianImputer,
    inputs: FeatureMoments,
    encoding: Encoding,
    table: Table,
) -> None:
    values = with_holes(table, 200)
    filled = conditional.impute(values)
    draw = np.random.default_rng(1)
    gradients = draw.normal(size=(3, 200, 29))
    variances = filled.variances(gradients)
    assert variances.shape == (3, 200)
    np.testing.assert_allclose(filled.variances(gradients[1]), variances[1], rtol=1e-12)
    for row in range(200):
        features, covariance = by_the_book(inputs, encoding, values[row])
        np.testing.assert_allclose(filled.features[row], features, atol=1e-9)
        np.testing.assert_allclose(filled.covariance(row), covariance, atol=1e-9)
        for gradient, found in zip(gradients[:, row], variances[:, row], strict=True):
            assert found == pytest.approx(gradient @ covariance @ gradient, abs=1e-9)


def test_complete_records_are_encoded_and_certain(
    conditional: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    values = with_holes(table, 50)
    complete = ~np.isnan(values).any(axis=1)
    assert 0 < complete.sum() < 50
    filled = conditional.impute(values)
    np.testing.assert_array_equal(
        filled.features[complete], encoding.encode(values[complete]), strict=True
    )
    variances = filled.variances(np.ones((50, 29)))
    assert (variances[complete] == 0).all() and (variances[~complete] > 0).all()


def test_the_company_does_not_matter(conditional: ConditionalGaussianImputer, table: Table) -> None:
    values = with_holes(table, 100)
    together = conditional.impute(values)
    gradients = np.random.default_rng(2).normal(size=(100, 29))
    for row in range(100):
        alone = conditional.impute(values[row : row + 1])
        np.testing.assert_allclose(alone.features[0], together.features[row], atol=1e-12)
        found = alone.variances(gradients[row : row + 1])
        np.testing.assert_allclose(found, together.variances(gradients)[row], atol=1e-12)


def test_a_block_is_missing_as_a_whole(
    conditional: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    row = table.values[:1].copy()
    row[0, 12] = np.nan
    filled = conditional.impute(row)
    before = encoding.encode(table.values[:1])[0]
    changed = {encoding.features[i] for i in np.flatnonzero(filled.features[0] != before)}
    # The table never holds thal 1 and 2, so they stay at 0; but nobody can be quite sure of that.
    assert changed == {f"thal={name}" for name in ("normal", "fixed", "reversible")}
    shares = filled.features[0, [i for i, c in enumerate(encoding.columns) if c == 12]]
    assert shares.sum() == pytest.approx(1, abs=0.01)
    variances = np.diagonal(filled.covariance(0))
    assert (np.flatnonzero(variances) == np.flatnonzero(np.array(encoding.columns) == 12)).all()


def test_what_is_known_moves_what_is_not(
    conditional: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    """Oldpeak and slope go together: the higher the one, the more downsloping the other."""
    low = table.values[:1].copy()
    low[0, 10] = np.nan
    high = low.copy()
    low[0, 9], high[0, 9] = 0, 4
    slope = encoding.features.index("slope")
    found = [conditional.impute(row).features[0, slope] for row in (low, high)]
    assert found[0] + 0.3 < found[1]


def test_a_column_that_must_be_known_counts_as_its_mean(
    conditional: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    row = table.values[:1].copy()
    row[0, 0] = np.nan
    filled = conditional.impute(row)
    np.testing.assert_array_equal(filled.features, encoding.encode(row))
    assert filled.variances(np.ones((1, 29))) == [0]


def test_the_patterns_that_are_kept_are_bounded(
    inputs: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    """And forgetting them changes nothing. All patterns of ten columns fit into the default."""
    n_open = 21
    of_one = 8 * n_open**2
    assert CACHE_BYTES // of_one >= 2 ** len(OPEN)
    small = ConditionalGaussianImputer(inputs, encoding, OPEN, cache_bytes=5 * of_one + 1)
    none = ConditionalGaussianImputer(inputs, encoding, OPEN, cache_bytes=0)
    values = with_holes(table, 300)
    np.testing.assert_array_equal(small.impute(values).features, none.impute(values).features)
    assert small.cache_info().currsize == small.cache_info().maxsize == 5
    assert none.cache_info().currsize == 0


def test_each_pattern_of_a_batch_is_asked_for_once(
    inputs: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    values = with_holes(table, 300)
    conditional = ConditionalGaussianImputer(inputs, encoding, OPEN, cache_bytes=2**22)
    conditional.impute(values)
    n_patterns = len(np.unique(np.isnan(values), axis=0))
    assert 50 < n_patterns < 300
    assert (conditional.cache_info().misses, conditional.cache_info().hits) == (n_patterns, 0)


def test_a_great_table_is_filled_exactly(
    inputs: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    """With ten million rows next to nothing keeps the one-hot blocks from being singular."""
    many = msgspec.structs.replace(inputs, n=10_000_000)
    values = with_holes(table, 100)
    filled = ConditionalGaussianImputer(many, encoding, OPEN).impute(values)
    for row in range(100):
        features, covariance = by_the_book(many, encoding, values[row])
        np.testing.assert_allclose(filled.features[row], features, atol=1e-6)
        np.testing.assert_allclose(filled.covariance(row), covariance, atol=1e-6)


def changed(
    part: str, change: Callable[[np.ndarray], None]
) -> Callable[[FeatureMoments], FeatureMoments]:
    def apply(inputs: FeatureMoments) -> FeatureMoments:
        numbers = np.array(getattr(inputs, part))
        change(numbers)
        return msgspec.structs.replace(inputs, **{part: numbers.tolist()})

    return apply


def infinite(numbers: np.ndarray) -> None:
    numbers[2, 2] = np.inf


def lopsided(numbers: np.ndarray) -> None:
    numbers[2, 3] += 1e-3


def negative(numbers: np.ndarray) -> None:
    numbers[2, 2] = -1


def moved(numbers: np.ndarray) -> None:
    numbers[2] += 1e-3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed("covariance", infinite), "not one of training rows"),
        (changed("covariance", lopsided), "not one of training rows"),
        (changed("covariance", negative), "negative eigenvalue"),
        (changed("means", moved), "not what the encoding fills"),
        (lambda i: msgspec.structs.replace(i, n=0), "not one of training rows"),
        (lambda i: msgspec.structs.replace(i, means=i.means[1:]), "not those of the encoding"),
        (lambda i: msgspec.structs.replace(i, covariance=[[1.0]]), "not those of the encoding"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    inputs: FeatureMoments,
    encoding: Encoding,
    change: Callable[[FeatureMoments], FeatureMoments],
    reason: str,
) -> None:
    with pytest.raises(ValueError, match=reason):
        ConditionalGaussianImputer(change(inputs), encoding, OPEN)
