"""The ready-made parts are, byte for byte, what encoding the whole answer would give."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest

from app.models.response_writer import PredictionWriter
from model.artifacts import Artifact
from model.inference import Explanation, Interval, Scorer
from pipelines.data import Table

GAPS: tuple[list[int], ...] = ([], [11], [4, 12], [11], [])
"""The columns of each row that are missing; two rows with the same have different labels."""


def rows(table: Table) -> np.ndarray:
    """Some with gaps, the last one with an age that training did not see."""
    values = table.values[: len(GAPS)].astype(np.float32)
    for row, gaps in enumerate(GAPS):
        values[row, gaps] = np.nan
    values[-1, 0] = 90
    return values


@pytest.mark.parametrize("explained", [False, True])
@pytest.mark.parametrize("with_intervals", [False, True])
def test_an_answer_is_what_encoding_it_would_give(
    artifact: Artifact, table: Table, explained: bool, with_intervals: bool
) -> None:
    scorer = Scorer(artifact)
    writer = PredictionWriter(scorer)
    for n, start in itertools.product((1, 2, 5), range(len(GAPS))):
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
        found = writer.write(scores, explanations, intervals)
        assert found == msgspec.json.encode(expected)


def test_an_interval_too_few_is_noticed(artifact: Artifact, table: Table) -> None:
    scorer = Scorer(artifact)
    scores = scorer.score(rows(table))
    with pytest.raises(ValueError, match="shorter"):
        PredictionWriter(scorer).write(scores, intervals=[Interval(0.1, 0.9, 0.9)])
