"""Conditional Gaussian imputation of missing features.

The encoded training rows have a mean and a covariance. Under a normal distribution with these
moments, the known features of a record determine the mean and the covariance of its missing ones
(T. W. Anderson, "An Introduction to Multivariate Statistical Analysis", 1958, section 2.5). For a
record x with missing features m and known features o, and S = covariance + (10 / n) I:

    imputed     mean_m + S_mo S_oo^-1 (x_o - mean_o)
    covariance  C = S_mm - S_mo S_oo^-1 S_om

The ridge of 10 / n has two effects. One-hot blocks, whose features sum to 1, do not make S
singular, and levels that are rare in training get less weight.

With the precision matrix P = S^-1 this is C = (P_mm)^-1 and
imputed = mean_m - C P_mo (x_o - mean_o). So each pattern of missing columns needs only one small
symmetric matrix, which is cached.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from model.features.encoding import Encoder, Encoding

RIDGE = 10.0
CACHE_BYTES = 2**22
"""Size of the cache of covariances: enough for all 1,024 patterns of the Cleveland table's ten
optional columns."""
FILL_TOLERANCE = 1e-6
"""Largest allowed difference between a mean and the fill of the encoding."""


class FeatureMoments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mean and covariance of the encoded training rows.

    Attributes:
        n: the number of rows.
        means: n_features, in the order of the network's inputs.
        covariance: n_features rows of n_features; divided by n, as in the standardisation.
    """

    n: int
    means: list[float]
    covariance: list[list[float]]


def fit_feature_moments(features: np.ndarray) -> FeatureMoments:
    """Return the mean and covariance of encoded training rows, float64 (n, n_features)."""
    covariance = np.cov(features, rowvar=False, bias=True)
    covariance = (covariance + covariance.T) / 2
    return FeatureMoments(
        n=len(features), means=features.mean(axis=0).tolist(), covariance=covariance.tolist()
    )


_PatternRun = tuple[int, int, np.ndarray | None]
"""Start and end of consecutive records with one pattern of missing columns, and the covariance of
their imputable features; None if nothing is missing."""
_RowOrder = np.ndarray | slice
"""An order of records as indices, or ``slice(None)`` if they are already in order."""


class CacheInfo(NamedTuple):
    """The statistics of a cache, as in :func:`functools.lru_cache`."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class ImputedFeatures:
    """Records with imputed features, and the uncertainty of these.

    Attributes:
        features: float64 (n, n_features), the network's inputs.
    """

    def __init__(
        self,
        features: np.ndarray,
        imputable: np.ndarray,
        order: _RowOrder,
        runs: Sequence[_PatternRun],
    ) -> None:
        self.features = features
        self._imputable = imputable
        self._order = order
        self._runs = runs

    def variances(self, gradients: np.ndarray) -> np.ndarray:
        """Return g'Cg, the variance of functions of the features by linear approximation.

        Args:
            gradients: (..., n, n_features), of any number of functions at each record.

        Returns:
            float64 (..., n); 0 for a record without missing values.
        """
        by_run = np.moveaxis(gradients, -2, 0)[self._order]
        vectors = by_run.reshape(-1, by_run.shape[-1]).T[self._imputable]
        n_functions = vectors.shape[1] // max(1, len(by_run))
        products = _apply_covariance(self._runs, vectors, n_functions)
        variances = np.empty(by_run.shape[:-1])
        variances[self._order] = np.einsum("fn,fn->n", vectors, products).reshape(variances.shape)
        return np.moveaxis(variances, 0, -1)

    def covariance(self, row: int) -> np.ndarray:
        """Return C of one record, float64 (n_features, n_features), 0 for known features."""
        ordered_rows = np.arange(len(self.features))[self._order]
        position = int(np.flatnonzero(ordered_rows == row)[0])
        covariance = np.zeros((self.features.shape[1],) * 2)
        for start, end, block in self._runs:
            if start <= position < end and block is not None:
                covariance[np.ix_(self._imputable, self._imputable)] = block
        return covariance


class ConditionalGaussianImputer:
    """An imputer that replaces missing features by their conditional means.

    Args:
        moments: mean and covariance of the encoded training rows.
        columns: indices of the columns that may be missing. A missing value of any other column
            counts as known, with the fill of the encoding.
        cache_bytes: size of the cache of covariances, by pattern of missing columns. A pattern that
            is not in the cache costs about 20 microseconds.

    Raises:
        ValueError: the moments do not match the encoding, or the covariance is not valid.
    """

    def __init__(
        self,
        moments: FeatureMoments,
        encoding: Encoding,
        columns: Sequence[int],
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        n_features = len(encoding.features)
        self._encoder = Encoder(encoding)
        # A Python set, because np.unique imports modules that take 2 MB in every worker.
        imputable_columns = sorted(set(columns))
        self._columns = np.array(imputable_columns, dtype=int)
        self._means = np.array(moments.means)
        covariance = np.array(moments.covariance)
        if not len(self._columns):
            raise ValueError("columns: at least one column must be allowed to be missing")
        if self._means.shape != (n_features,) or covariance.shape != (n_features, n_features):
            raise ValueError("the mean and the covariance do not have one entry per feature")
        if moments.n < 1 or not (
            np.isfinite(covariance).all() and (covariance == covariance.T).all()
        ):
            raise ValueError("the covariance is not finite and symmetric, or n is less than 1")
        self._imputable = np.array(
            [f for f, column in enumerate(encoding.columns) if column in imputable_columns]
        )
        bit_of_feature = np.array(
            [imputable_columns.index(c) for c in encoding.columns if c in imputable_columns]
        )
        # The encoding fills a missing feature with its mean, so its x - mean is 0 in the products.
        if not (np.abs(self._means - encoding.fills) <= FILL_TOLERANCE).all():
            raise ValueError("the means differ from the fills of the encoding")
        regularised = covariance + RIDGE / moments.n * np.eye(n_features)
        try:
            np.linalg.cholesky(regularised)
        except np.linalg.LinAlgError:
            raise ValueError("the covariance has a negative eigenvalue") from None
        precision = np.linalg.inv(regularised)
        self._precision_rows = precision[self._imputable]
        # The cached function does not refer to self, so there is no reference cycle.
        self._covariance = functools.lru_cache(
            maxsize=cache_bytes // max(1, 8 * len(self._imputable) ** 2)
        )(
            functools.partial(
                _pattern_covariance, self._precision_rows[:, self._imputable], bit_of_feature
            )
        )

    def cache_info(self) -> CacheInfo:
        """Return the statistics of the cache of covariances."""
        return CacheInfo(*self._covariance.cache_info())

    def missing_mask(self, values: np.ndarray) -> np.ndarray:
        """Return which values are missing: (n, n_columns) → bool (n, n_imputable_columns)."""
        return np.isnan(values[:, self._columns])

    def impute(self, values: np.ndarray) -> ImputedFeatures:
        """Impute the missing features of records; row i of the result belongs to row i.

        The memory use is a few copies of the result. Divide many records into blocks, preferably
        after sorting them by :func:`order_by_pattern`.

        Args:
            values: (n, n_columns), validated, missing as NaN.
        """
        patterns = np.packbits(self.missing_mask(values), axis=1)
        order, inverse = _pattern_order(patterns)
        runs = [
            (start, end, self._covariance(pattern))
            for start, end, pattern in _pattern_runs(patterns[order])
        ]
        features = self._encoder.encode(values)
        products = (self._precision_rows @ (features - self._means[:, None]))[:, order]
        features[self._imputable] -= _apply_covariance(runs, products)[:, inverse]
        return ImputedFeatures(features.T, self._imputable, order, runs)


def order_by_pattern(missing: np.ndarray) -> np.ndarray:
    """Return an order, int (n,), in which equal rows of bool (n, k) are adjacent."""
    return np.lexsort(np.packbits(missing, axis=1).T)


def _pattern_order(patterns: np.ndarray) -> tuple[_RowOrder, _RowOrder]:
    """Return an order in which equal rows of uint8 (n, n_bytes) are adjacent, and its inverse."""
    order = np.lexsort(patterns.T)
    if (order[1:] > order[:-1]).all():
        return slice(None), slice(None)  # already in order: reordering would take 10 % longer
    inverse = np.empty_like(order)
    inverse[order] = np.arange(len(order))
    return order, inverse


def _pattern_runs(patterns: np.ndarray) -> Iterator[tuple[int, int, bytes]]:
    """Yield start, end and bytes of each run of equal rows of uint8 (n, n_bytes)."""
    differs = (patterns[1:] != patterns[:-1]).any(axis=1)
    ends = [0, *(np.flatnonzero(differs) + 1).tolist(), len(patterns)]
    for start, end in itertools.pairwise(ends):
        if start < end:
            yield start, end, patterns[start].tobytes()


def _pattern_covariance(
    precision: np.ndarray, bit_of_feature: np.ndarray, pattern: bytes
) -> np.ndarray | None:
    """Return C of a pattern, 0 for known features, or None if nothing is missing.

    **Shape**: float64 (n_imputable, n_imputable).

    Args:
        precision: the block of P of the imputable features, float64 (n_imputable, n_imputable).
        bit_of_feature: (n_imputable,), the bit of the pattern for each imputable feature.
        pattern: one bit per imputable column, set if it is missing.
    """
    missing = np.unpackbits(np.frombuffer(pattern, np.uint8)).astype(bool)[bit_of_feature]
    if not missing.any():
        return None
    covariance = np.zeros_like(precision)
    block = np.ix_(missing, missing)
    covariance[block] = np.linalg.inv(precision[block])
    return covariance


def _apply_covariance(
    runs: Sequence[_PatternRun], vectors: np.ndarray, n_per_record: int = 1
) -> np.ndarray:
    """Return C times each column of float64 (n_imputable, n * n_per_record), sorted by run."""
    products = np.empty(vectors.shape)
    for start, end, covariance in runs:
        columns = slice(start * n_per_record, end * n_per_record)
        if covariance is None:
            products[:, columns] = 0
        else:
            np.matmul(covariance, vectors[:, columns], out=products[:, columns])
    return products
