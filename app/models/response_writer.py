"""The JSON of an answer, written from ready-made parts.

Nearly every record has nothing missing and nothing odd, so that its part of the answer is one of
two texts around a number. Building those from objects took longer than scoring them.
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
    """Writes the answers of one version; answer i belongs to record i.

    >>> values = np.array([[12, 2]], np.float32)  # a dose of 12 mg at stage 2
    >>> PredictionWriter(scorer).write(scorer.score(values))  # doctest: +ELLIPSIS
    b'{"model":"tiny","version":"","predictions":[{"probability":0.53...,"label":"worse",...}]}'
    """

    def __init__(self, scorer: Scorer) -> None:
        manifest = scorer.manifest
        told = _encode({"model": manifest.name, "version": manifest.version, "predictions": []})
        self._head = told.removesuffix(b"]}")
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
        """The whole answer.

        Args:
            explanations, intervals: one a record, where they were asked for.
        """
        plain = explanations is None and intervals is None
        if len(scores.probabilities) == 1 and not scores.notes and plain:
            (probability,) = scores.probabilities.tolist()
            tail = self._tails[probability >= self._threshold]
            return b"".join((self._head, _FIRST, _encode(probability), tail, b"]}"))
        numbers = scores.probabilities.astype(np.float64)
        positive = (numbers >= self._threshold).tolist()
        tails = list(map(self._tails_and_next.__getitem__, positive))
        told: dict[tuple[int, bool], bytes] = {}
        for row, remarks in scores.notes.items():
            kind = (id(remarks), positive[row])  # many rows have the same, and it is one object
            if kind not in told:
                told[kind] = self._tail(positive[row], remarks) + _NEXT
            tails[row] = told[kind]
        if intervals is not None:
            tails = _append_member(tails, b'"interval":', intervals)
        if explanations is not None:
            tails = _append_member(tails, b'"explanation":', explanations)
        parts = [b""] * (2 * len(tails))
        parts[::2] = _encode(numbers.tolist())[1:-1].split(b",")
        parts[1::2] = tails
        parts[0] = self._head + _FIRST + parts[0]
        parts[-1] = parts[-1].removesuffix(_NEXT) + b"]}"
        return b"".join(parts)

    def _tail(self, positive: bool, remarks: InputNotes) -> bytes:
        """What follows the probability in one record's part."""
        told: dict[str, Any] = {
            "label": self._labels[positive],
            "threshold": self._threshold,
            "missing": remarks.missing,
            "warnings": remarks.warnings,
        }
        return _encode(told).replace(b"{", b",", 1)


def _append_member(
    tails: Sequence[bytes], key: bytes, told: Sequence[msgspec.Struct]
) -> list[bytes]:
    """The tails, each with one member more at its end."""
    return [
        b"".join((tail.removesuffix(_END), b",", key, _encode(one), _END))
        for tail, one in zip(tails, told, strict=True)
    ]
