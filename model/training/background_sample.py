"""The background sample of an artifact: fifty rows that stand for the training rows.

Of 1,000 samples drawn by chance the one is taken whose mean features are nearest to those of all
training rows. On the bundled table that halves the error that fifty rows instead of 303 leave in a
contribution; docs/decisions/0010-explanations.md has the figures. Neither outcome nor network is
asked, so versions that were trained on the same rows are explained against the same rows.

Where the rows may not leave, the samples are drawn from 1,000 made-up rows.
"""

from __future__ import annotations

import numpy as np

from model.features import Encoding
from model.inference import Background
from model.schema import Column, Schema

N_ROWS = 50
N_CANDIDATES = 1_000
N_SYNTHETIC_ROWS = 1_000
BACKGROUND_SEED = 0


def choose_background(
    schema: Schema,
    encoding: Encoding,
    values: np.ndarray,
    *,
    allow_training_rows: bool,
    seed: int = BACKGROUND_SEED,
) -> Background:
    """The background sample for a network that was trained on some rows.

    Args:
        values: (n, n_columns), the training rows, missing as NaN; all are taken where there are
            no more than fifty.
        allow_training_rows: whether an artifact may hold some of them.
    """
    draw = np.random.default_rng(seed)
    means = encoding.encode(values).mean(axis=0)
    pool = values if allow_training_rows else synthetic_rows(schema, encoding, values, draw)
    features = encoding.encode(pool)
    n_rows = min(N_ROWS, len(pool))
    samples = [draw.choice(len(pool), n_rows, replace=False) for _ in range(N_CANDIDATES)]
    distances = [np.square(features[rows].mean(axis=0) - means).sum() for rows in samples]
    chosen = np.sort(samples[int(np.argmin(distances))])
    return Background(
        origin="training rows" if allow_training_rows else "synthetic",
        seed=seed,
        values=pool[chosen].astype(np.float32).tolist(),
    )


def synthetic_rows(
    schema: Schema, encoding: Encoding, values: np.ndarray, draw: np.random.Generator
) -> np.ndarray:
    """Rows that are nobody's, with the means and, nearly, the covariance of the training rows.

    Features are drawn from the normal distribution with the mean and covariance of the training
    features, and brought back to values that a record may hold: a number into the range that
    training saw, which the manifest tells anyway; an ordinal to the nearest code that training
    saw; a category to the level with the greatest of the drawn features. A column that was missing
    throughout stays missing; any other is known in every row.

    Returns:
        float64 (1,000, n_columns).
    """
    features = encoding.encode(values)
    drawn = draw.multivariate_normal(
        features.mean(axis=0), np.cov(features, rowvar=False), N_SYNTHETIC_ROWS, method="eigh"
    )
    rows = np.full((N_SYNTHETIC_ROWS, len(schema.columns)), np.nan)
    for index, column in enumerate(schema.columns):
        known = values[~np.isnan(values[:, index]), index]
        if len(known):
            own = np.flatnonzero(np.array(encoding.columns) == index)
            rows[:, index] = _to_valid_values(column, encoding, own, drawn[:, own], known)
    return rows


def _to_valid_values(
    column: Column, encoding: Encoding, own: np.ndarray, drawn: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """A column's drawn features (n, n_own), back in values (n,) that training saw or enclosed."""
    if column.kind == "category":
        codes = np.array(encoding.codes)[own - len(encoding.means)]
        return codes[drawn.argmax(axis=1)]
    numbers = drawn[:, 0] * encoding.scales[own[0]] + encoding.means[own[0]]
    if column.kind == "number":
        return np.clip(numbers, known.min(), known.max())
    codes = np.unique(known)
    return codes[np.abs(numbers[:, None] - codes).argmin(axis=1)]
