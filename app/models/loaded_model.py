"""One version, opened and verified: the one path from records to answers, whatever the protocol."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from app.models.response_writer import PredictionWriter
from app.settings import Settings
from app.web import ApiError, Metrics, NotReady
from model.artifacts import MANIFEST_FILE, Store
from model.errors import InvalidRecords, ModelError, UnknownVersion
from model.inference import Explainer, Explanation, Interval, IntervalEstimator, Scorer, Scores
from model.records import Batch, ColumnValues, RecordValidator

Fingerprint = tuple[int, int]


class LoadedModel:
    """A version that can answer: its artifact is verified and reproduces its golden rows.

    Every protocol reads records and scores them here, so that all give the same probabilities and
    the metrics see every record once.

    Attributes:
        problem_counter: a context that counts the problems of records, also those that a protocol finds.

    Raises:
        ModelError: it cannot answer; the message says why.
    """

    def __init__(self, store: Store, version: str, settings: Settings, metrics: Metrics) -> None:
        artifact = store.read(version)
        self.manifest = artifact.manifest
        self.schema = artifact.schema
        self.version = artifact.manifest.version
        self.name = artifact.manifest.name
        self.scorer = Scorer(artifact)
        self.writer = PredictionWriter(self.scorer)
        self._explainer = Explainer(artifact, self.scorer.missing_value_scorer)
        self._estimator = IntervalEstimator(artifact, self.scorer.missing_value_scorer)
        self._reader = RecordValidator(artifact.schema, max_records=settings.max_records)
        self._metrics = metrics
        self.problem_counter = _ProblemCounter(metrics, artifact.schema.column_names)

    @property
    def created(self) -> float:
        """When it was trained, in seconds since 1970."""
        return datetime.datetime.fromisoformat(self.manifest.created).timestamp()

    @property
    def max_records(self) -> int:
        """The most records in one request."""
        return self._reader.max_records

    @property
    def capabilities(self) -> dict[str, bool]:
        """By option of a request, whether this version can do what it asks for."""
        return {"explain": self._explainer.available, "interval": self._estimator.available}

    def validate_json(self, body: bytes, *, ignored_key: str | None = None) -> Batch:
        """Validate the records of a JSON body of our own kind.

        Raises:
            UnreadableBody, InvalidRecords: as :meth:`model.records.validator.validator.RecordValidator.validate_json`.
        """
        with self.problem_counter:
            return self._reader.validate_json(body, ignored_key=ignored_key)

    def validate_records(self, records: Sequence[Any], path: str | None = "") -> np.ndarray:
        """Validate records that a protocol has taken out of its body.

        Args:
            records: n mappings from column name to value; a missing value is None.
            path: where they stood in the body, a JSON pointer, for the errors.

        Returns:
            float32 (n, n_columns), missing as NaN.

        Raises:
            InvalidRecords: every problem of every record; also none, or more than are allowed.
        """
        with self.problem_counter:
            return self._reader.validate_records(records, path)

    def validate_columns(
        self, columns: Mapping[str, ColumnValues], path: str | None = ""
    ) -> np.ndarray:
        """Validate records that a protocol has taken out of its body as columns.

        Args:
            columns: by name, as :meth:`model.records.validator.validator.RecordValidator.validate_columns` takes them.
            path: where they stood in the body, for the errors.

        Returns:
            float32 (n, n_columns), missing as NaN.

        Raises:
            InvalidRecords: as :meth:`validate_records`; also where columns are absent or unknown.
        """
        with self.problem_counter:
            return self._reader.validate_columns(columns, path)

    def score(self, values: np.ndarray) -> Scores:
        """Score validated values, float32 (n, n_columns), and count them as answered.

        Row i of the answer is row i. Whatever can still fail comes before :meth:`count` instead.
        """
        scores = self.scorer.score(values)
        self.count(values, scores)
        return scores

    def count(self, values: np.ndarray, scores: Scores) -> None:
        """Count values as answered with what :attr:`scorer` gives for them."""
        missing = count_missing(self.schema.column_names, values) if scores.notes else {}
        self._metrics.observe_predictions(self.version, scores.probabilities, missing)

    def explain(self, values: np.ndarray) -> list[Explanation]:
        """What each column contributed to each answer, for validated values.

        Raises:
            ExplanationUnavailable: the version was trained before explanations.
        """
        return self._explainer.explain(values)

    def intervals(self, values: np.ndarray, scores: Scores) -> list[Interval]:
        """The interval of each answer, for validated values and their scores.

        Raises:
            IntervalUnavailable: the version holds nothing to give intervals with.
        """
        return self._estimator.intervals(values, scores.probabilities)


def count_missing(names: Sequence[str], values: np.ndarray) -> dict[str, int]:
    """How often each column of (n, n_columns) values is missing, of those that are."""
    counts = np.count_nonzero(np.isnan(values), axis=0).tolist()
    return {name: n for name, n in zip(names, counts, strict=True) if n}


class _ProblemCounter:
    """Counts the problems of records that are refused within its block."""

    def __init__(self, metrics: Metrics, columns: Iterable[str]) -> None:
        self._metrics = metrics
        self._columns = frozenset(columns)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, InvalidRecords):
            self._metrics.count_problems(error.problems, self._columns)


@contextmanager
def translate_loading_errors(what: str) -> Iterator[None]:
    """Turn whatever keeps a version from being loaded into a reason for people.

    Args:
        what: cannot be read or loaded.

    Raises:
        NotReady: with the reason; its cause is the exception where nobody expects such a one.
    """
    try:
        yield
    except (UnknownVersion, NotReady, ApiError):
        raise
    except ModelError as error:
        raise NotReady(str(error)) from None
    except OSError:
        raise NotReady(f"{what} cannot be read or written") from None
    except Exception as error:
        raise NotReady(f"{what} cannot be loaded ({type(error).__name__})") from error


def version_fingerprint(store: Store, version: str) -> Fingerprint:
    """What changes when a version is written anew.

    Raises:
        UnknownVersion, OSError: it is not there.
    """
    status = (store.path(version) / MANIFEST_FILE).stat()
    return (status.st_mtime_ns, status.st_ino)
