"""Cells of the report's counts, and their merging for private tables."""

from __future__ import annotations

import numpy as np
import pytest

from model.schema import Column, Schema
from pipelines.data import Table
from pipelines.report.disclosure_control import MAX_BINS, MIN_CELL_COUNT, count_cells, nice_edges


@pytest.mark.parametrize("ends", [(29, 77), (0, 6.2), (-3.7, 11.2), (0.001, 0.0012), (5, 5)])
def test_edges_are_round_and_contain_every_value(ends: tuple[float, float]) -> None:
    edges = nice_edges(*ends)
    assert edges[0] - 1e-12 <= ends[0] and ends[1] < edges[-1]
    assert 1 <= len(edges) - 1 <= MAX_BINS
    np.testing.assert_allclose(np.diff(edges), edges[1] - edges[0])
    assert all(len(f"{edge:g}") <= 7 for edge in edges)


@pytest.mark.parametrize("private", [False, True])
def test_every_known_value_is_counted_once(table: Table, private: bool) -> None:
    for index, column in enumerate(table.schema.columns):
        values, labels = table.values[:, index], table.labels
        known = ~np.isnan(values)
        cells = count_cells(column, values, labels, private=private)
        counts = np.array([cell.counts for cell in cells])
        assert counts.sum(axis=0).tolist() == np.bincount(labels[known]).tolist(), column.name


def test_a_private_table_has_no_small_count(table: Table) -> None:
    published_counts, private_counts = (
        [
            count
            for index, column in enumerate(table.schema.columns)
            for cell in count_cells(column, table.values[:, index], table.labels, private=private)
            for count in cell.counts
        ]
        for private in (False, True)
    )
    assert min(published_counts) < MIN_CELL_COUNT <= min(private_counts)


def column_named(schema: Schema, name: str) -> Column:
    return next(column for column in schema.columns if column.name == name)


def test_rare_levels_are_merged(table: Table, schema: Schema) -> None:
    """One patient without and three with disease have an ST-T wave abnormality."""
    index = schema.column_names.index("restecg")
    cells = count_cells(
        column_named(schema, "restecg"), table.values[:, index], table.labels, private=True
    )
    assert [cell.label.split(" ")[0] for cell in cells] == ["Probable", "Normal;"]


def test_a_column_with_too_few_records_is_not_shown(schema: Schema) -> None:
    age, labels = column_named(schema, "age"), np.array([0] * 9 + [1] * 4)
    assert count_cells(age, np.arange(40.0, 53.0), labels, private=True) == []
    assert len(count_cells(age, np.arange(40.0, 53.0), labels, private=False)) > 1
    assert count_cells(age, np.full(13, np.nan), labels, private=False) == []
