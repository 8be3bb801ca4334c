"""The writer's responses equal, byte for byte, the encoding of the whole response."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from app.models.response_writer import PredictionWriter
from model.artifacts import Artifact
from model.inference import Explanation, Interval, Scorer
from pipelines.data import Table

MISSING: tuple[list[int], ...] = ([], [11], [4, 12], [11], [])
"""The missing columns of each row. Two rows have the same ones and different labels."""


def rows(table: Table) -> np.ndarray:
    """Return rows with missing values; the age of the last is outside the training range."""
    values = table.values[: len(MISSING)].copy()
    for row, columns in enumerate(MISSING):
        values[row, columns] = np.nan
    values[-1, 0] = 90
    return values


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize("with_intervals", [False, True])
def test_a_response_equals_its_encoding(
    artifact: Artifact, table: Table, explained: bool, with_intervals: bool
) -> None:
    scorer = Scorer(artifact)
    writer = PredictionWriter(scorer)
    for n, start in itertools.product((1, 2, 5), range(len(MISSING))):
        scores = scorer.score(rows(table)[start : start + n])
        predictions = [msgspec.to_builtins(p) for p in scorer.predictions(scores)]
        explanations = intervals = None
        if with_intervals:
            intervals = [Interval(row / 8, 0.9, 0.9) for row in range(len(predictions))]
            for prediction, interval in zip(predictions, intervals, strict=True):
                prediction["interval"] = interval
        if explained:
            contributions = {"age": 1e-9, "sex": -2.0}
            explanations = [
                Explanation(base=row, log_odds=1.5, contributions=contributions)
                for row in range(len(predictions))
            ]
            for prediction, explanation in zip(predictions, explanations, strict=True):
                prediction["explanation"] = explanation
        expected = {"model": "cleveland", "version": "1", "predictions": predictions}
        body = writer.write(scores, explanations, intervals)
        assert body == msgspec.json.encode(expected)


def test_a_missing_interval_raises(artifact: Artifact, table: Table) -> None:
    scorer = Scorer(artifact)
    scores = scorer.score(rows(table))
    with pytest.raises(ValueError, match="shorter"):
        PredictionWriter(scorer).write(scores, intervals=[Interval(0.1, 0.9, 0.9)])
