from __future__ import annotations

import math

import numpy as np
import pytest

from model.artifacts import Artifact
from model.inference import InputNotes
from model.inference.input_warnings import TrainingRangeChecker


@pytest.fixture
def values() -> np.ndarray:
    """Return rows with known, missing, out-of-range and unseen values: float64 (400, 13)."""
    draw = np.random.default_rng(0)
    choices: list[tuple[int, ...]] = [
        (20, 50, 90),
        (0, 1),
        (0, 1, 2, 3, 4),
        (50, 130, 290),
        (60, 240, 900),
        (0, 1),
        (0, 1, 2),
        (40, 150, 240),
        (0, 1),
        (-9, 1, 14),
        (1, 2, 3),
        (0, 1, 2, 3),
        (1, 2, 3, 6, 7),
    ]
    rows = np.stack([draw.choice(column, 400) for column in choices], axis=1).astype(np.float64)
    rows[:, 3:][draw.random((400, 10)) < 0.2] = np.nan
    rows[::7] = (50, 1, 3, 130, 240, 0, 0, 150, 0, 1, 2, 0, 3)  # no notes
    return rows


def expected_notes(artifact: Artifact, row: np.ndarray) -> InputNotes | None:
    """Apply the rule column by column."""
    missing, warning_keys = [], []
    for column, value in zip(artifact.schema.columns, row.tolist(), strict=True):
        training_range = artifact.manifest.ranges[column.name]
        if math.isnan(value):
            missing.append(column.name)
        elif training_range.codes is not None:
            if value not in training_range.codes:
                warning_keys.append((column.name, "level_not_in_training"))
        elif not (training_range.minimum or 0) <= value <= (training_range.maximum or 0):
            warning_keys.append((column.name, "outside_training_range"))
    if not missing and not warning_keys:
        return None
    warnings = {
        (warning.field, warning.code): warning
        for r in TrainingRangeChecker(artifact.schema, artifact.manifest.ranges)
        .check(row[None])
        .values()
        for warning in r.warnings
    }
    return InputNotes(tuple(missing), tuple(warnings[key] for key in warning_keys))


def test_each_row_has_the_notes_of_the_rule(artifact: Artifact, values: np.ndarray) -> None:
    """In a batch, in which equal rows share their notes, and as single rows."""
    checker = TrainingRangeChecker(artifact.schema, artifact.manifest.ranges)
    notes = checker.check(values)
    assert 300 < len(notes) < 400
    assert list(notes) == sorted(notes)
    for row in range(len(values)):
        expected = expected_notes(artifact, values[row])
        assert notes.get(row) == expected
        assert checker.check(values[row : row + 1]).get(0) == expected
    codes = {warning.code for row in notes.values() for warning in row.warnings}
    assert codes == {"outside_training_range", "level_not_in_training"}
