from __future__ import annotations

import math

import numpy as np
import pytest

from model.artifacts import Artifact
from model.inference import InputNotes
from model.inference.input_warnings import TrainingRangeChecker


@pytest.fixture
def values() -> np.ndarray:
    """float32 (400, 13) of everything at once: known, missing, out of range, unseen levels."""
    draw = np.random.default_rng(0)
    corners = [
        (20, 50, 90), (0, 1), (0, 1, 2, 3, 4), (50, 130, 290), (60, 240, 900), (0, 1), (0, 1, 2),
        (40, 150, 240), (0, 1), (-9, 1, 14), (1, 2, 3), (0, 1, 2, 3), (1, 2, 3, 6, 7),
    ]  # fmt: skip
    rows = np.stack([draw.choice(column, 400) for column in corners], axis=1).astype(np.float32)
    rows[:, 3:][draw.random((400, 10)) < 0.2] = np.nan
    rows[::7] = (50, 1, 3, 130, 240, 0, 0, 150, 0, 1, 2, 0, 3)  # nothing to be said
    return rows


def one_by_one(artifact: Artifact, row: np.ndarray) -> InputNotes | None:
    """The rule itself, column by column."""
    missing, warned = [], []
    for column, value in zip(artifact.schema.columns, row.tolist(), strict=True):
        seen = artifact.manifest.ranges[column.name]
        if math.isnan(value):
            missing.append(column.name)
        elif seen.codes is not None:
            if value not in seen.codes:
                warned.append((column.name, "level_not_in_training"))
        elif not np.float32(seen.minimum or 0) <= value <= np.float32(seen.maximum or 0):
            warned.append((column.name, "outside_training_range"))
    if not missing and not warned:
        return None
    cautions = {
        (c.field, c.code): c
        for r in TrainingRangeChecker(artifact.schema, artifact.manifest.ranges)
        .check(row[None])
        .values()
        for c in r.warnings
    }
    return InputNotes(tuple(missing), tuple(cautions[key] for key in warned))


def test_each_row_is_remarked_upon_by_the_rule(artifact: Artifact, values: np.ndarray) -> None:
    """In company, where equal rows share their words, and alone."""
    familiar = TrainingRangeChecker(artifact.schema, artifact.manifest.ranges)
    together = familiar.check(values)
    assert 300 < len(together) < 400
    assert list(together) == sorted(together)
    for row in range(len(values)):
        expected = one_by_one(artifact, values[row])
        assert together.get(row) == expected
        assert familiar.check(values[row : row + 1]).get(0) == expected
    said = {c.code for remarks in together.values() for c in remarks.warnings}
    assert said == {"outside_training_range", "level_not_in_training"}
