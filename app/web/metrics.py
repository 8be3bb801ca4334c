"""What Prometheus reads: requests, records, refusals, probabilities, versions and reloads.

With several workers each keeps its figures in files of its own (prometheus_client's multiprocess
mode), which whichever worker is asked adds up. The files belong to a worker's place and not to its
process, so that a worker that replaces a dead one goes on counting in the same files: no count is
lost, and there are never more files than places. gunicorn.conf.py hands out the places.
"""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

from model.errors import Problem

MULTIPROC_DIR = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
LATENCIES_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PROBABILITIES = tuple(step / 10 for step in range(1, 11))

# prometheus_client names its files by the kind of metric. A histogram of 40 routes needs 100 KB.
_FILE_BYTES = {
    "counter": 1 << 17,
    "histogram": 1 << 18,
    "gauge_livesum": 1 << 16,
    "gauge_livemax": 1 << 16,
}

_slot = "start"


def preallocate_slot(slot: str) -> None:
    """Make the files of a worker's place before it starts.

    Their bytes are set aside at once: a worker that writes into a file for which no room is left
    is killed by the system (SIGBUS). And no worker ever reads a file that is only half made.

    Raises:
        OSError: there is no room.
    """
    for kind, n_bytes in _FILE_BYTES.items():
        file = Path(os.environ[MULTIPROC_DIR]) / f"{kind}_{slot}.db"
        if file.exists():
            continue
        half_made = file.with_suffix(".new")
        handle = os.open(half_made, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, n_bytes)
            else:  # macOS: as long, but without the room
                os.ftruncate(handle, n_bytes)
        finally:
            os.close(handle)
        half_made.rename(file)


def claim_slot(slot: str) -> None:
    """Say which worker this process is; its figures go on where that place's last ones ended."""
    global _slot  # noqa: PLW0603
    _slot = slot


def release_slot(slot: str) -> None:
    """Forget what only a living worker can say, such as which version it serves.

    The files stay, for on a full disk there would be no room to make them again.
    """
    folder = os.environ.get(MULTIPROC_DIR)
    if folder:
        for file in Path(folder).glob(f"gauge_live*_{slot}.db"):
            with file.open("r+b") as handle:
                handle.write(bytes(8))  # the length of what is in use, as in a new file


def enable_multiprocess_mode(folder: str) -> None:
    """Keep the figures in files; to be called before any metric is made."""
    os.environ[MULTIPROC_DIR] = folder
    values.ValueClass = values.MultiProcessValue(lambda: _slot)


class Metrics:
    """The service's metrics; one for each process and its children."""

    def __init__(self) -> None:
        self._shared = MULTIPROC_DIR in os.environ
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "tabular_requests", "Requests by route, status and the version that answered.",
            ("route", "status", "version"), registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "tabular_request_seconds", "Time from the first look at a request to its answer.",
            ("route",), buckets=LATENCIES_S, registry=registry,
        )  # fmt: skip
        self.records = Counter(
            "tabular_records", "Records that were answered.", ("version",), registry=registry
        )
        self.rejected = Counter(
            "tabular_rejected_records", "Problems of records that were refused.",
            ("column", "code"), registry=registry,
        )  # fmt: skip
        self.probability = Histogram(
            "tabular_probability", "Probabilities that were given.",
            ("version",), buckets=PROBABILITIES, registry=registry,
        )  # fmt: skip
        self.missing = Counter(
            "tabular_missing_values", "Values that were missing in answered records.",
            ("column",), registry=registry,
        )  # fmt: skip
        self.workers = Gauge(
            "tabular_model_workers", "Workers that serve a version as the current one.",
            ("version",), multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self.created = Gauge(
            "tabular_model_created_timestamp_seconds", "When a version was trained.",
            ("version",), multiprocess_mode="livemax", registry=registry,
        )  # fmt: skip
        self.reloads = Counter(
            "tabular_reloads", "Versions that were loaded or could not be.",
            ("result",), registry=registry,
        )  # fmt: skip
        self.failing = Gauge(
            "tabular_reload_failing", "1 while the store's current version cannot be loaded.",
            multiprocess_mode="livemax", registry=registry,
        )  # fmt: skip
        # labels() costs more than counting, so that what it gives is kept; each key is bounded
        # by what the service itself names: routes, statuses, versions, columns.
        self._requests: dict[tuple[str, int, str], Any] = {}
        self._seconds: dict[str, Any] = {}
        self._versions: dict[str, _VersionMetrics] = {}

    def observe_request(self, route: str, status: int, version: str, seconds: float) -> None:
        """Count a request that was answered."""
        key = (route, status, version)
        counter = self._requests.get(key)
        if counter is None:
            counter = self._requests[key] = self.requests.labels(route, str(status), version)
        histogram = self._seconds.get(route)
        if histogram is None:
            histogram = self._seconds[route] = self.seconds.labels(route)
        counter.inc()
        histogram.observe(seconds)

    def observe_predictions(
        self, version: str, probabilities: np.ndarray, missing: Mapping[str, int]
    ) -> None:
        """Count the records of one request.

        Args:
            probabilities: float32 (n,).
            missing: by column, in how many of them it was missing.
        """
        version_metrics = self._versions.get(version)
        if version_metrics is None:
            version_metrics = self._versions[version] = _VersionMetrics(self, version)
        version_metrics.observe_predictions(probabilities)
        for column, n in missing.items():
            self.missing.labels(column).inc(n)

    def count_problems(self, problems: Sequence[Problem], columns: frozenset[str]) -> None:
        """Count problems of records by column; a name that is no column is not one to count by."""
        found = Tally((p.field if p.field in columns else "", p.code) for p in problems)
        for (column, code), n in found.items():
            self.rejected.labels(column or "(none)", code).inc(n)

    def count_reload(self, result: str) -> None:
        """Count a version that was ``loaded`` or ``failed`` to load."""
        self.reloads.labels(result).inc()

    def set_serving_version(self, version: str, created: float, others: Iterable[str]) -> None:
        """Note which version this worker now serves as the current one.

        Args:
            created: seconds since 1970.
            others: versions that it served before.
        """
        for other in others:
            self.workers.labels(other).set(0)
        self.workers.labels(version).set(1)
        self.created.labels(version).set(created)

    def text(self) -> bytes:
        """All of it in Prometheus's text format, of every worker."""
        if not self._shared:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)


class _VersionMetrics:
    """The metrics of one version, found once."""

    def __init__(self, metrics: Metrics, version: str) -> None:
        self._records = metrics.records.labels(version)
        self._probability = metrics.probability.labels(version)

    def observe_predictions(self, probabilities: np.ndarray) -> None:
        n = len(probabilities)
        self._records.inc(n)
        if n == 1:
            self._probability.observe(float(probabilities[0]))
            return
        # prometheus_client observes one value at a time, which takes 10 ms for 10,000.
        counts = np.bincount(np.searchsorted(PROBABILITIES, probabilities), minlength=11)
        for bucket, count in zip(self._probability._buckets, counts.tolist(), strict=True):
            if count:
                bucket.inc(count)
        self._probability._sum.inc(float(probabilities.sum(dtype=np.float64)))
