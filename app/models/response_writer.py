"""The JSON of a prediction response, written from precomputed parts.

Most records have no missing values and no warnings, so the text after the probability is one of two
constants. Encoding it from objects took longer than scoring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from model.inference import Explanation, InputNotes, Interval, Scorer, Scores

_encode = msgspec.json.Encoder().encode
_FIRST = b'{"probability":'
_NEXT = b"," + _FIRST
_END = b"}" + _NEXT
_NO_NOTES = InputNotes()


class PredictionWriter:
    """A writer of the prediction responses of one version; prediction i belongs to record i.

    >>> values = np.array([[12, 2]], np.float64)  # a dose of 12 mg at stage 2
    >>> PredictionWriter(scorer).write(scorer.score(values))  # doctest: +ELLIPSIS
    b'{"model":"tiny","version":"","predictions":[{"probability":0.53...,"label":"worse",...}]}'
    """

    def __init__(self, scorer: Scorer) -> None:
        manifest = scorer.manifest
        empty = _encode({"model": manifest.name, "version": manifest.version, "predictions": []})
        self._head = empty.removesuffix(b"]}")
        self._threshold = manifest.threshold
        self._labels = (scorer.schema.outcome.negative, scorer.schema.outcome.positive)
        self._tails = tuple(self._tail(positive, _NO_NOTES) for positive in (False, True))
        self._tails_and_next = tuple(tail + _NEXT for tail in self._tails)

    def write(
        self,
        scores: Scores,
        explanations: Sequence[Explanation] | None = None,
        intervals: Sequence[Interval] | None = None,
    ) -> bytes:
        """Return the body of a response.

        Args:
            scores: the scores of n records.
            explanations: n explanations; None if not requested.
            intervals: n intervals; None if not requested.
        """
        plain = explanations is None and intervals is None
        if len(scores.probabilities) == 1 and not scores.notes and plain:
            (probability,) = scores.probabilities.tolist()
            tail = self._tails[probability >= self._threshold]
            return b"".join((self._head, _FIRST, _encode(probability), tail, b"]}"))
        probabilities = scores.probabilities.astype(np.float64)
        positive = (probabilities >= self._threshold).tolist()
        tails = list(map(self._tails_and_next.__getitem__, positive))
        encoded: dict[tuple[int, bool], bytes] = {}
        for row, notes in scores.notes.items():
            key = (id(notes), positive[row])  # rows with the same notes share one object
            if key not in encoded:
                encoded[key] = self._tail(positive[row], notes) + _NEXT
            tails[row] = encoded[key]
        if intervals is not None:
            tails = _append_member(tails, b'"interval":', intervals)
        if explanations is not None:
            tails = _append_member(tails, b'"explanation":', explanations)
        parts = [b""] * (2 * len(tails))
        parts[::2] = _encode(probabilities.tolist())[1:-1].split(b",")
        parts[1::2] = tails
        parts[0] = self._head + _FIRST + parts[0]
        parts[-1] = parts[-1].removesuffix(_NEXT) + b"]}"
        return b"".join(parts)

    def _tail(self, positive: bool, notes: InputNotes) -> bytes:
        """Return the text of a prediction after its probability."""
        members: dict[str, Any] = {
            "label": self._labels[positive],
            "threshold": self._threshold,
            "missing": notes.missing,
            "warnings": notes.warnings,
        }
        return _encode(members).replace(b"{", b",", 1)


def _append_member(
    tails: Sequence[bytes], key: bytes, values: Sequence[msgspec.Struct]
) -> list[bytes]:
    """Return the tails, each with a further member at its end."""
    return [
        b"".join((tail.removesuffix(_END), b",", key, _encode(value), _END))
        for tail, value in zip(tails, values, strict=True)
    ]
