"""A loaded version: validation, scoring, explanations and intervals for every protocol."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from app.models.response_writer import PredictionWriter
from app.web import ApiError, Metrics, NotReady
from model.artifacts import MANIFEST_FILE, Store
from model.errors import InvalidRecords, ModelError, UnknownVersion
from model.inference import Explainer, Explanation, Interval, IntervalEstimator, Scorer, Scores
from model.records import Batch, ColumnValues, RecordValidator

Fingerprint = tuple[int, int]


class LoadedModel:
    """A loaded model version: its artifact is verified and reproduces its golden rows.

    Every protocol validates and scores records here, so that all protocols return the same
    probabilities and the metrics count every record once.

    Args:
        store: the store of the version.
        version: the number of the version.
        metrics: the metrics that count its records.
        max_records: the maximum number of records in a request.

    Attributes:
        problem_counter: a context manager that counts the problems of an ``InvalidRecords``; for
            protocols that validate parts of a body themselves.

    Raises:
        ModelError: the version cannot be loaded; the message gives the reason.
    """

    def __init__(self, store: Store, version: str, metrics: Metrics, *, max_records: int) -> None:
        artifact = store.read(version)
        self.manifest = artifact.manifest
        self.schema = artifact.schema
        self.version = artifact.manifest.version
        self.name = artifact.manifest.name
        self.scorer = Scorer(artifact)
        self.writer = PredictionWriter(self.scorer)
        self._explainer = Explainer(artifact, self.scorer.missing_value_scorer)
        self._estimator = IntervalEstimator(artifact, self.scorer.missing_value_scorer)
        self._validator = RecordValidator(artifact.schema, max_records=max_records)
        self._metrics = metrics
        self.problem_counter = _ProblemCounter(metrics, artifact.schema.column_names)

    @property
    def created(self) -> float:
        """The training time, in seconds since 1970."""
        return datetime.datetime.fromisoformat(self.manifest.created).timestamp()

    @property
    def max_records(self) -> int:
        """The maximum number of records in a request."""
        return self._validator.max_records

    @property
    def capabilities(self) -> dict[str, bool]:
        """The options of a request and, for each, whether this version supports it."""
        return {"explain": self._explainer.available, "interval": self._estimator.available}

    def validate_json(self, body: bytes, *, ignored_key: str | None = None) -> Batch:
        """Validate the JSON body of a request to ``/predict`` or ``/explain``.

        Args:
            body: the JSON text.
            ignored_key: a key that may accompany ``instances``; its value is ignored.

        Raises:
            UnreadableBody, InvalidRecords: see
                :meth:`model.records.validator.RecordValidator.validate_json`.
        """
        with self.problem_counter:
            return self._validator.validate_json(body, ignored_key=ignored_key)

    def validate_records(self, records: Sequence[Any], path: str | None = "") -> np.ndarray:
        """Validate records that a protocol has decoded.

        Args:
            records: n mappings from column name to value; a missing value is None.
            path: JSON pointer to the records in the body, for the errors.

        Returns:
            float64 (n, n_columns), missing as NaN.

        Raises:
            InvalidRecords: every problem of every record; also for no records or too many.
        """
        with self.problem_counter:
            return self._validator.validate_records(records, path)

    def validate_columns(
        self, columns: Mapping[str, ColumnValues], path: str | None = ""
    ) -> np.ndarray:
        """Validate records that a protocol has decoded as columns.

        Args:
            columns: values by column name, see
                :meth:`model.records.validator.RecordValidator.validate_columns`.
            path: JSON pointer to the columns in the body, for the errors.

        Returns:
            float64 (n, n_columns), missing as NaN.

        Raises:
            InvalidRecords: as :meth:`validate_records`; also for absent or unknown columns.
        """
        with self.problem_counter:
            return self._validator.validate_columns(columns, path)

    def score(self, values: np.ndarray) -> Scores:
        """Score validated values and count them in the metrics.

        A caller that can still fail after scoring uses :attr:`scorer` and then :meth:`count`.

        Args:
            values: float64 (n, n_columns).

        Returns:
            the scores; row i belongs to row i of the values.
        """
        scores = self.scorer.score(values)
        self.count(values, scores)
        return scores

    def count(self, values: np.ndarray, scores: Scores) -> None:
        """Count validated values, float64 (n, n_columns), and their scores in the metrics."""
        missing = count_missing(self.schema.column_names, values) if scores.notes else {}
        self._metrics.observe_predictions(self.version, scores.probabilities, missing)

    def explain(self, values: np.ndarray) -> list[Explanation]:
        """Return the contribution of each column to each probability.

        Args:
            values: validated values, float64 (n, n_columns).

        Raises:
            ExplanationUnavailable: the version has no explanation data.
        """
        return self._explainer.explain(values)

    def intervals(self, values: np.ndarray, scores: Scores) -> list[Interval]:
        """Return the interval of each probability.

        Args:
            values: validated values, float64 (n, n_columns).
            scores: their scores.

        Raises:
            IntervalUnavailable: the version has no interval data.
        """
        return self._estimator.intervals(values, scores.probabilities)


def count_missing(names: Sequence[str], values: np.ndarray) -> dict[str, int]:
    """Return the number of missing values of (n, n_columns) values by column, without zeros."""
    counts = np.count_nonzero(np.isnan(values), axis=0).tolist()
    return {name: n for name, n in zip(names, counts, strict=True) if n}


class _ProblemCounter:
    """A context manager that counts the problems of an ``InvalidRecords`` raised in its block."""

    def __init__(self, metrics: Metrics, columns: Iterable[str]) -> None:
        self._metrics = metrics
        self._columns = frozenset(columns)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, InvalidRecords):
            self._metrics.count_problems(error.problems, self._columns)


@contextmanager
def translate_loading_errors(subject: str) -> Iterator[None]:
    """Translate loading errors into NotReady with a readable reason.

    Args:
        subject: the thing that is loaded, for the message; such as "version 3".

    Raises:
        NotReady: the block raised another error than UnknownVersion, NotReady or ApiError. The
            cause of the exception is set if the error is unexpected.
    """
    try:
        yield
    except (UnknownVersion, NotReady, ApiError):
        raise
    except ModelError as error:
        raise NotReady(str(error)) from None
    except OSError:
        raise NotReady(f"{subject} cannot be read or written") from None
    except Exception as error:
        raise NotReady(f"{subject} cannot be loaded ({type(error).__name__})") from error


def version_fingerprint(store: Store, version: str) -> Fingerprint:
    """Return a value that changes when a version is rewritten: mtime and inode of its manifest.

    Raises:
        UnknownVersion, OSError: the version does not exist or cannot be read.
    """
    status = (store.path(version) / MANIFEST_FILE).stat()
    return (status.st_mtime_ns, status.st_ino)
