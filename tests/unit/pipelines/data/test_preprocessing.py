from __future__ import annotations

import numpy as np
import pytest

from model.schema import Schema
from pipelines.data import Table, build_preprocessing, read_encoding


def test_29_features_with_the_schemas_names(schema: Schema, table: Table) -> None:
    preprocessing = build_preprocessing(schema)
    features = preprocessing.fit_transform(table.frame)
    assert features.shape == (303, 29)
    assert tuple(preprocessing.get_feature_names_out()) == schema.feature_names


def test_the_features_of_the_first_patient(schema: Schema, table: Table) -> None:
    features = build_preprocessing(schema).fit_transform(table.frame)
    ages = table.values[:, 0]
    assert features[0, 0] == pytest.approx((63 - ages.mean()) / ages.std())
    # sex 1, cp 1, fbs 1, restecg 2, exang 0, ca 0, thal 6
    on = {name for name, x in zip(schema.feature_names[6:], features[0, 6:], strict=True) if x}
    assert on == {"sex=1", "cp=1", "fbs=1", "restecg=2", "exang=0", "ca=0", "thal=fixed"}


def test_fitted_on_training_rows_only(schema: Schema, table: Table) -> None:
    """Values of other rows must not change a feature."""
    rows = np.arange(100)
    changed = table.frame.copy()
    changed.loc[100:, "age"] = 1.0
    before, after = (
        build_preprocessing(schema).fit(f.iloc[rows]).transform(f.iloc[rows])
        for f in (table.frame, changed)
    )
    np.testing.assert_array_equal(before, after)


def test_the_levels_do_not_depend_on_the_sample(schema: Schema, table: Table) -> None:
    women = table.frame[table.values[:, 1] == 0].head(5)
    preprocessing = build_preprocessing(schema).fit(women)
    assert preprocessing.transform(table.frame).shape == (303, 29)
    assert tuple(preprocessing.get_feature_names_out()) == schema.feature_names


def test_missing_values_get_the_mean_of_the_training_rows(schema: Schema, table: Table) -> None:
    preprocessing = build_preprocessing(schema)
    features = preprocessing.fit_transform(table.frame)
    missing = np.isnan(table.values[:, 11])
    block = [schema.feature_names.index(f"ca={n}") for n in range(4)]
    shares = np.bincount(table.values[~missing, 11].astype(int)) / (~missing).sum()
    np.testing.assert_allclose(features[missing][:, block], np.tile(shares, (4, 1)))
    empty = table.frame.head(1).copy()
    for name in empty:
        empty[name] = None if empty[name].dtype == object else np.nan
    np.testing.assert_allclose(
        preprocessing.transform(empty)[0, :6], np.zeros(6), atol=1e-12, err_msg="numbers"
    )


def test_a_completely_missing_column_can_be_fitted(schema: Schema, table: Table) -> None:
    frame = table.frame
    frame["ca"], frame["chol"] = None, np.nan
    preprocessing = build_preprocessing(schema).fit(frame)
    assert np.isfinite(preprocessing.transform(frame)).all()
    encoding = read_encoding(schema, preprocessing)
    assert np.isfinite([*encoding.fills, *encoding.means, *encoding.scales]).all()
