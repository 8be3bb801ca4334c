"""Preprocessing of a table into features: a scikit-learn ColumnTransformer built from the schema.

It is fitted on training rows only. The schema fixes the levels of every one-hot column, so the
features have the same names and order in every fold, whichever levels a sample contains.
"""

from __future__ import annotations

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from model.features import Encoding
from model.schema import Column, Schema


def build_preprocessing(schema: Schema) -> ColumnTransformer:
    """Return the unfitted preprocessing of a schema.

    It maps a frame with the schema's columns (:attr:`pipelines.data.table.Table.frame`) to a
    float64 array (n, n_features) in the order of ``schema.feature_names``. Numbers and ordinals are
    standardised, and categories are one-hot encoded. A missing value is replaced by the mean of the
    training rows; in a one-hot block, by the share of each level.
    """
    blocks = [
        (
            column.name,
            _one_hot(column) if column.kind == "category" else _standardised(),
            [column.name],
        )
        for column in schema.feature_columns
    ]
    return ColumnTransformer(blocks, verbose_feature_names_out=False)


def read_encoding(schema: Schema, preprocessing: ColumnTransformer) -> Encoding:
    """Return the parameters of a fitted preprocessing, from which the graph is built."""
    columns: list[int] = []
    codes: list[int] = []
    means: list[float] = []
    scales: list[float] = []
    fills: list[float] = []
    for column in schema.feature_columns:
        steps = preprocessing.named_transformers_[column.name].named_steps
        index = schema.column_names.index(column.name)
        if column.kind == "category":
            columns += [index] * len(column.codes)
            codes += column.codes
            fills += steps["fill"].statistics_.tolist()
        else:
            columns.append(index)
            means.append(float(steps["scale"].mean_[0]))
            scales.append(float(steps["scale"].scale_[0]))
            fills.append(0.0)
    return Encoding(
        n_columns=len(schema.columns),
        features=tuple(preprocessing.get_feature_names_out()),
        columns=tuple(columns),
        means=tuple(means),
        scales=tuple(scales),
        codes=tuple(codes),
        fills=tuple(fills),
    )


def _standardised() -> Pipeline:
    # Imputing the mean does not change the mean, so a missing value becomes 0 after scaling.
    return Pipeline(
        [("fill", SimpleImputer(keep_empty_features=True)), ("scale", StandardScaler())]
    )


def _one_hot(column: Column) -> Pipeline:
    encoder = OneHotEncoder(
        categories=[[level.feature_name for level in column.levels]],
        handle_unknown="ignore",
        sparse_output=False,
        feature_name_combiner=_feature_name,
    )
    missing = FunctionTransformer(_unknown_level_to_nan, feature_names_out="one-to-one")
    fill = SimpleImputer(strategy="mean", keep_empty_features=True)
    return Pipeline([("levels", encoder), ("missing", missing), ("fill", fill)])


def _feature_name(column: str, level: str) -> str:
    return f"{column}={level}"


def _unknown_level_to_nan(block: np.ndarray) -> np.ndarray:
    """Replace rows without any level by NaN, because their category is missing."""
    return np.where(block.any(axis=1, keepdims=True), block, np.nan)
