"""Tests of the imputation against the textbook formula, one record at a time."""

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

OPTIONAL = tuple(range(3, 13))


@pytest.fixture(scope="module")
def encoding(table: Table) -> Encoding:
    return read_encoding(table.schema, build_preprocessing(table.schema).fit(table.frame))


@pytest.fixture(scope="module")
def moments(table: Table, encoding: Encoding) -> FeatureMoments:
    return fit_feature_moments(encoding.encode(table.values))


@pytest.fixture(scope="module")
def imputer(moments: FeatureMoments, encoding: Encoding) -> ConditionalGaussianImputer:
    return ConditionalGaussianImputer(moments, encoding, OPTIONAL)


def with_missing_values(table: Table, n: int, seed: int = 0) -> np.ndarray:
    """Return float64 (n, 13): patients with 0 to 10 optional columns missing at random."""
    rng = np.random.default_rng(seed)
    values = table.values[rng.integers(0, len(table), n)].copy()
    missing = rng.random((n, len(OPTIONAL))) < rng.random((n, 1))
    values[:, 3:][missing] = np.nan
    values[0], values[1, 3:] = table.values[0], np.nan
    return values


def impute_by_formula(
    moments: FeatureMoments, encoding: Encoding, row: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the conditional mean and covariance of one record, from its known features."""
    mean = np.array(moments.means)
    regularised = np.array(moments.covariance) + RIDGE / moments.n * np.eye(len(mean))
    missing = np.isnan(row[list(encoding.columns)])
    m, o = np.flatnonzero(missing), np.flatnonzero(~missing)
    features = encoding.encode(row[None])[0]
    weights = np.linalg.solve(regularised[np.ix_(o, o)], regularised[np.ix_(o, m)])
    features[m] = mean[m] + (features[o] - mean[o]) @ weights
    covariance = np.zeros_like(regularised)
    conditional = regularised[np.ix_(m, m)] - regularised[np.ix_(m, o)] @ weights
    covariance[np.ix_(m, m)] = conditional
    return features, covariance


def test_the_moments_are_those_of_standardised_features(
    moments: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    assert moments.n == 303
    np.testing.assert_allclose(moments.means, encoding.fills, atol=1e-12)
    variances = np.diagonal(np.array(moments.covariance))
    np.testing.assert_allclose(variances[:6], 1, atol=1e-9)
    share = (table.values[:, 1] == 1).mean()
    assert moments.means[encoding.features.index("sex=1")] == pytest.approx(share)


def test_records_are_imputed_by_the_formula(
    imputer: ConditionalGaussianImputer,
    moments: FeatureMoments,
    encoding: Encoding,
    table: Table,
) -> None:
    values = with_missing_values(table, 200)
    filled = imputer.impute(values)
    rng = np.random.default_rng(1)
    gradients = rng.normal(size=(3, 200, 29))
    variances = filled.variances(gradients)
    assert variances.shape == (3, 200)
    np.testing.assert_allclose(filled.variances(gradients[1]), variances[1], rtol=1e-12)
    for row in range(200):
        features, covariance = impute_by_formula(moments, encoding, values[row])
        np.testing.assert_allclose(filled.features[row], features, atol=1e-9)
        np.testing.assert_allclose(filled.covariance(row), covariance, atol=1e-9)
        for gradient, variance in zip(gradients[:, row], variances[:, row], strict=True):
            assert variance == pytest.approx(gradient @ covariance @ gradient, abs=1e-9)


def test_complete_records_are_encoded_with_zero_variance(
    imputer: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    values = with_missing_values(table, 50)
    complete = ~np.isnan(values).any(axis=1)
    assert 0 < complete.sum() < 50
    filled = imputer.impute(values)
    np.testing.assert_array_equal(
        filled.features[complete], encoding.encode(values[complete]), strict=True
    )
    variances = filled.variances(np.ones((50, 29)))
    assert (variances[complete] == 0).all() and (variances[~complete] > 0).all()


def test_a_record_does_not_depend_on_the_others_of_its_batch(
    imputer: ConditionalGaussianImputer, table: Table
) -> None:
    values = with_missing_values(table, 100)
    batch = imputer.impute(values)
    gradients = np.random.default_rng(2).normal(size=(100, 29))
    for row in range(100):
        single = imputer.impute(values[row : row + 1])
        np.testing.assert_allclose(single.features[0], batch.features[row], atol=1e-12)
        variance = single.variances(gradients[row : row + 1])
        np.testing.assert_allclose(variance, batch.variances(gradients)[row], atol=1e-12)


def test_a_missing_category_imputes_all_its_features(
    imputer: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    row = table.values[:1].copy()
    row[0, 12] = np.nan
    filled = imputer.impute(row)
    before = encoding.encode(table.values[:1])[0]
    changed = {encoding.features[i] for i in np.flatnonzero(filled.features[0] != before)}
    # The table never has thal 1 or 2: they stay at 0, but the ridge leaves them a variance.
    assert changed == {f"thal={name}" for name in ("normal", "fixed", "reversible")}
    shares = filled.features[0, [i for i, c in enumerate(encoding.columns) if c == 12]]
    assert shares.sum() == pytest.approx(1, abs=0.01)
    variances = np.diagonal(filled.covariance(0))
    assert (np.flatnonzero(variances) == np.flatnonzero(np.array(encoding.columns) == 12)).all()


def test_known_features_change_the_imputed_ones(
    imputer: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    """Oldpeak and slope are correlated: a higher oldpeak gives a higher (downsloping) slope."""
    low = table.values[:1].copy()
    low[0, 10] = np.nan
    high = low.copy()
    low[0, 9], high[0, 9] = 0, 4
    slope = encoding.features.index("slope")
    of_low, of_high = (imputer.impute(row).features[0, slope] for row in (low, high))
    assert of_low + 0.3 < of_high


def test_a_required_column_is_filled_with_its_mean(
    imputer: ConditionalGaussianImputer, encoding: Encoding, table: Table
) -> None:
    row = table.values[:1].copy()
    row[0, 0] = np.nan
    filled = imputer.impute(row)
    np.testing.assert_array_equal(filled.features, encoding.encode(row))
    assert filled.variances(np.ones((1, 29))) == [0]


def test_the_cache_of_patterns_is_bounded(
    moments: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    """The results do not depend on its size. All patterns of ten columns fit into the default."""
    n_imputable = 21
    pattern_bytes = 8 * n_imputable**2
    assert CACHE_BYTES // pattern_bytes >= 2 ** len(OPTIONAL)
    small = ConditionalGaussianImputer(
        moments, encoding, OPTIONAL, cache_bytes=5 * pattern_bytes + 1
    )
    none = ConditionalGaussianImputer(moments, encoding, OPTIONAL, cache_bytes=0)
    values = with_missing_values(table, 300)
    np.testing.assert_array_equal(small.impute(values).features, none.impute(values).features)
    assert small.cache_info().currsize == small.cache_info().maxsize == 5
    assert none.cache_info().currsize == 0


def test_each_pattern_of_a_batch_is_computed_once(
    moments: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    values = with_missing_values(table, 300)
    imputer = ConditionalGaussianImputer(moments, encoding, OPTIONAL, cache_bytes=2**22)
    imputer.impute(values)
    n_patterns = len(np.unique(np.isnan(values), axis=0))
    assert 50 < n_patterns < 300
    assert (imputer.cache_info().misses, imputer.cache_info().hits) == (n_patterns, 0)


def test_imputation_is_accurate_for_a_large_table(
    moments: FeatureMoments, encoding: Encoding, table: Table
) -> None:
    """With ten million rows the ridge is tiny and the one-hot blocks are almost singular."""
    large = msgspec.structs.replace(moments, n=10_000_000)
    values = with_missing_values(table, 100)
    filled = ConditionalGaussianImputer(large, encoding, OPTIONAL).impute(values)
    for row in range(100):
        features, covariance = impute_by_formula(large, encoding, values[row])
        np.testing.assert_allclose(filled.features[row], features, atol=1e-6)
        np.testing.assert_allclose(filled.covariance(row), covariance, atol=1e-6)


def changed(
    part: str, change: Callable[[np.ndarray], None]
) -> Callable[[FeatureMoments], FeatureMoments]:
    def apply(moments: FeatureMoments) -> FeatureMoments:
        numbers = np.array(getattr(moments, part))
        change(numbers)
        return msgspec.structs.replace(moments, **{part: numbers.tolist()})

    return apply


def infinite(numbers: np.ndarray) -> None:
    numbers[2, 2] = np.inf


def asymmetric(numbers: np.ndarray) -> None:
    numbers[2, 3] += 1e-3


def negative(numbers: np.ndarray) -> None:
    numbers[2, 2] = -1


def moved(numbers: np.ndarray) -> None:
    numbers[2] += 1e-3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed("covariance", infinite), "not finite and symmetric, or n is less than 1"),
        (changed("covariance", asymmetric), "not finite and symmetric, or n is less than 1"),
        (changed("covariance", negative), "negative eigenvalue"),
        (changed("means", moved), "differ from the fills of the encoding"),
        (
            lambda i: msgspec.structs.replace(i, n=0),
            "not finite and symmetric, or n is less than 1",
        ),
        (lambda i: msgspec.structs.replace(i, means=i.means[1:]), "one entry per feature"),
        (lambda i: msgspec.structs.replace(i, covariance=[[1.0]]), "one entry per feature"),
    ],
)
def test_invalid_moments_are_rejected(
    moments: FeatureMoments,
    encoding: Encoding,
    change: Callable[[FeatureMoments], FeatureMoments],
    reason: str,
) -> None:
    with pytest.raises(ValueError, match=reason):
        ConditionalGaussianImputer(change(moments), encoding, OPTIONAL)
