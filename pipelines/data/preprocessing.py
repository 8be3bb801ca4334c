"""Table → 29 features: a scikit-learn ColumnTransformer built from the schema.

Fitted on training rows only. The vocabulary of every one-hot column is fixed by the schema, never
by what a sample happens to hold, so the features have the same names and order in every fold.
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
    """The preprocessing of one schema, not fitted yet.

    Takes a frame with the schema's columns (:attr:`pipelines.data.table.Table.frame`) and gives a
    frame-less float64 array (n, n_features) in the order of ``schema.feature_names``. Numbers and
    ordinals are standardised, categories one-hot. A missing value is filled with the mean of the
    training rows, in a one-hot block with the share of each level.
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
    """The numbers of a fitted preprocessing, from which the graph is built."""
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
    # The mean first: filling with it leaves the mean as it is, so a missing value becomes 0.
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
    """Rows of a one-hot block without any level are missing in every feature of the block."""
    return np.where(block.any(axis=1, keepdims=True), block, np.nan)
