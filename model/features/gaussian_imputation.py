"""What the known features of a record say about its missing ones.

The training inputs have a mean and a covariance. Taken as those of a normal distribution, they give
for whatever is known of a record the mean of what is not, and how far from it the truth may lie
(T. W. Anderson, "An Introduction to Multivariate Statistical Analysis", 1958, section 2.5). With m
the missing features of a record x, o its known ones and S = covariance + (10 / n) I,

    filled      mean_m + S_mo S_oo^-1 (x_o - mean_o)
    covariance  C = S_mm - S_mo S_oo^-1 S_om

The 10 / n on the diagonal keeps the one-hot blocks, whose features sum to 1, from being exactly
singular, and keeps a level that training rarely saw from being believed in too much.

In terms of P = S^-1 the same is C = (P_mm)^-1, and filled = mean_m - C P_mo (x_o - mean_o). So one
small symmetric matrix a pattern of missing columns is all that there is to work out and to keep.
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
"""Of covariances by pattern: for the Cleveland table every pattern of ten columns fits in."""
FILL_TOLERANCE = 1e-6


class FeatureMoments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mean and covariance of the encoded training rows.

    Attributes:
        n: how many rows there were.
        means: n_features, in the order of the network's inputs.
        covariance: n_features rows of n_features, divided by n as the standardisation does.
    """

    n: int
    means: list[float]
    covariance: list[list[float]]


def fit_feature_moments(features: np.ndarray) -> FeatureMoments:
    """The mean and covariance of training inputs, float64 (n, n_features)."""
    covariance = np.cov(features, rowvar=False, bias=True)
    covariance = (covariance + covariance.T) / 2
    return FeatureMoments(
        n=len(features), means=features.mean(axis=0).tolist(), covariance=covariance.tolist()
    )


_PatternRun = tuple[int, int, np.ndarray | None]
"""Where records of one pattern begin and end, and the covariance of the open features there."""
_RowOrder = np.ndarray | slice
"""An order of records as indices, or as the slice of all where they stay as they are."""


class CacheInfo(NamedTuple):
    """How a cache was used: as :func:`functools.lru_cache` counts it."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class ImputedFeatures:
    """Records whose missing features are filled, and how uncertain these are.

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
        """g'Cg: the variance of a function of the features, as far as it is linear.

        Args:
            gradients: (..., n, n_features), of as many functions as you like at each record.

        Returns:
            float64 (..., n); 0 for a record in which nothing is missing.
        """
        by_run = np.moveaxis(gradients, -2, 0)[self._order]
        vectors = by_run.reshape(-1, by_run.shape[-1]).T[self._imputable]
        n_each = vectors.shape[1] // max(1, len(by_run))
        spread = _apply_covariance(self._runs, vectors, n_each)
        found = np.empty(by_run.shape[:-1])
        found[self._order] = np.einsum("fn,fn->n", vectors, spread).reshape(found.shape)
        return np.moveaxis(found, 0, -1)

    def covariance(self, row: int) -> np.ndarray:
        """float64 (n_features, n_features): C of one record, 0 where a feature is known."""
        in_order = np.arange(len(self.features))[self._order]
        place = int(np.flatnonzero(in_order == row)[0])
        found = np.zeros((self.features.shape[1],) * 2)
        for start, end, covariance in self._runs:
            if start <= place < end and covariance is not None:
                found[np.ix_(self._imputable, self._imputable)] = covariance
        return found


class ConditionalGaussianImputer:
    """Fills the missing features of records with their means given the known ones.

    Args:
        columns: those that may be missing, as indices; any other counts as known, at the value
            that the encoding gives it.
        cache_bytes: for the covariances of the patterns that were met last. A pattern that is not
            among them takes some 20 microseconds to work out.

    Raises:
        ValueError: the numbers do not fit the encoding, or are no covariance.
    """

    def __init__(
        self,
        inputs: FeatureMoments,
        encoding: Encoding,
        columns: Sequence[int],
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        n_features = len(encoding.features)
        self._encoder = Encoder(encoding)
        # Python's sets, because NumPy's unique and its like import what takes 2 MB of every worker.
        order = sorted(set(columns))
        self._columns = np.array(order, dtype=int)
        self._means = np.array(inputs.means)
        covariance = np.array(inputs.covariance)
        if not len(self._columns):
            raise ValueError("no column may be missing")
        if self._means.shape != (n_features,) or covariance.shape != (n_features, n_features):
            raise ValueError("mean and covariance are not those of the encoding's features")
        if inputs.n < 1 or not (
            np.isfinite(covariance).all() and (covariance == covariance.T).all()
        ):
            raise ValueError("the covariance is not one of training rows")
        self._imputable = np.array(
            [f for f, column in enumerate(encoding.columns) if column in order]
        )
        place = np.array([order.index(c) for c in encoding.columns if c in order])
        # What is missing is encoded as the mean, and so counts for nothing in x - mean.
        if not (np.abs(self._means - encoding.fills) <= FILL_TOLERANCE).all():
            raise ValueError("the means are not what the encoding fills missing features with")
        spread = covariance + RIDGE / inputs.n * np.eye(n_features)
        try:
            np.linalg.cholesky(spread)
        except np.linalg.LinAlgError:
            raise ValueError("the covariance has a negative eigenvalue") from None
        precision = np.linalg.inv(spread)
        self._precision_rows = precision[self._imputable]
        # Neither the cache nor what it calls knows this object: no cycle keeps it alive.
        self._covariance = functools.lru_cache(
            maxsize=cache_bytes // max(1, 8 * len(self._imputable) ** 2)
        )(functools.partial(_pattern_covariance, self._precision_rows[:, self._imputable], place))

    def cache_info(self) -> CacheInfo:
        """Return how the patterns of missing columns were found in memory so far."""
        return CacheInfo(*self._covariance.cache_info())

    def missing_mask(self, values: np.ndarray) -> np.ndarray:
        """(n, n_columns) → bool (n, n_columns that may be missing)."""
        return np.isnan(values[:, self._columns])

    def impute(self, values: np.ndarray) -> ImputedFeatures:
        """Fill records; row i of the result is row i of the values.

        Takes the memory of a few copies of the result: whoever has many records parts them, best
        sorted by :func:`order_by_pattern`.

        Args:
            values: (n, n_columns), validated, missing as NaN.
        """
        patterns = np.packbits(self.missing_mask(values), axis=1)
        order, backwards = _pattern_order(patterns)
        runs = [
            (start, end, self._covariance(pattern))
            for start, end, pattern in _pattern_runs(patterns[order])
        ]
        features = self._encoder.encode(values)
        away = (self._precision_rows @ (features - self._means[:, None]))[:, order]
        features[self._imputable] -= _apply_covariance(runs, away)[:, backwards]
        return ImputedFeatures(features.T, self._imputable, order, runs)


def order_by_pattern(missing: np.ndarray) -> np.ndarray:
    """int (n,): an order of bool (n, k) rows in which equal ones stand together."""
    return np.lexsort(np.packbits(missing, axis=1).T)


def _pattern_order(patterns: np.ndarray) -> tuple[_RowOrder, _RowOrder]:
    """An order in which equal uint8 (n, n_bytes) rows stand together, and the way back from it."""
    order = np.lexsort(patterns.T)
    if (order[1:] > order[:-1]).all():
        return slice(None), slice(None)  # as they stand: moving them would take a tenth more
    backwards = np.empty_like(order)
    backwards[order] = np.arange(len(order))
    return order, backwards


def _pattern_runs(patterns: np.ndarray) -> Iterator[tuple[int, int, bytes]]:
    """Where runs of equal uint8 (n, n_bytes) rows begin and end, and what each consists of."""
    differs = (patterns[1:] != patterns[:-1]).any(axis=1)
    ends = [0, *(np.flatnonzero(differs) + 1).tolist(), len(patterns)]
    for start, end in itertools.pairwise(ends):
        if start < end:
            yield start, end, patterns[start].tobytes()


def _pattern_covariance(
    precision: np.ndarray, column: np.ndarray, pattern: bytes
) -> np.ndarray | None:
    """float64 (n_open, n_open): C of a pattern, 0 where a feature is known; None for no missing.

    Args:
        precision: of the open features given all others, float64 (n_open, n_open).
        column: (n_open,), which bit of the pattern each open feature belongs to.
        pattern: the missing columns, a bit each.
    """
    missing = np.unpackbits(np.frombuffer(pattern, np.uint8)).astype(bool)[column]
    if not missing.any():
        return None
    found = np.zeros_like(precision)
    block = np.ix_(missing, missing)
    found[block] = np.linalg.inv(precision[block])
    return found


def _apply_covariance(
    runs: Sequence[_PatternRun], vectors: np.ndarray, n_each: int = 1
) -> np.ndarray:
    """C times each column of float64 (n_open, n * n_each), where n records are sorted by run."""
    found = np.empty(vectors.shape)
    for start, end, covariance in runs:
        own = slice(start * n_each, end * n_each)
        if covariance is None:
            found[:, own] = 0
        else:
            np.matmul(covariance, vectors[:, own], out=found[:, own])
    return found
