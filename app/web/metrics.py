"""Prometheus metrics: requests, records, rejected records, probabilities, versions and reloads.

Each worker keeps its values in files (prometheus_client's multiprocess mode), and the worker that
serves ``/metrics`` adds them up. The files belong to a slot and not to a process: a worker that
replaces a dead one continues in the same files, so no count is lost and the number of files is
bounded. gunicorn.conf.py assigns the slots.
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

# By type of metric, as in the names of the files. A histogram of 40 routes needs 100 KB.
_FILE_BYTES = {
    "counter": 1 << 17,
    "histogram": 1 << 18,
    "gauge_livesum": 1 << 16,
    "gauge_livemax": 1 << 16,
}

_slot = "start"


def preallocate_slot(slot: str) -> None:
    """Create the files of a slot before its worker starts.

    The disk space is allocated at once, because writing to a memory-mapped file on a full disk
    kills the process (SIGBUS). Each file is renamed into place, so no worker reads an incomplete
    file.

    Raises:
        OSError: the disk is full.
    """
    for kind, n_bytes in _FILE_BYTES.items():
        file = Path(os.environ[MULTIPROC_DIR]) / f"{kind}_{slot}.db"
        if file.exists():
            continue
        temporary = file.with_suffix(".new")
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(handle, 0, n_bytes)
            else:  # macOS: sets the length without allocating space
                os.ftruncate(handle, n_bytes)
        finally:
            os.close(handle)
        temporary.rename(file)


def claim_slot(slot: str) -> None:
    """Use a slot in this process; its counters continue from the slot's last values."""
    global _slot  # noqa: PLW0603
    _slot = slot


def release_slot(slot: str) -> None:
    """Clear the live gauges of a dead worker's slot, such as the version it served.

    The files are kept, because a full disk would have no space to create them again.
    """
    folder = os.environ.get(MULTIPROC_DIR)
    if folder:
        for file in Path(folder).glob(f"gauge_live*_{slot}.db"):
            with file.open("r+b") as handle:
                handle.write(bytes(8))  # the number of used bytes, 0 as in a new file


def enable_multiprocess_mode(folder: str) -> None:
    """Store metrics in files of a folder; call this before any metric is created."""
    os.environ[MULTIPROC_DIR] = folder
    values.ValueClass = values.MultiProcessValue(lambda: _slot)


class Metrics:
    """The metrics of the service, one object per process."""

    def __init__(self) -> None:
        self._shared = MULTIPROC_DIR in os.environ
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "tabular_requests",
            "Requests by route, status and model version.",
            ("route", "status", "version"),
            registry=registry,
        )
        self.seconds = Histogram(
            "tabular_request_seconds",
            "Time from the start of a request to its response.",
            ("route",),
            buckets=LATENCIES_S,
            registry=registry,
        )
        self.records = Counter(
            "tabular_records", "Records with a prediction.", ("version",), registry=registry
        )
        self.rejected = Counter(
            "tabular_rejected_records",
            "Problems of rejected records.",
            ("column", "code"),
            registry=registry,
        )
        self.probability = Histogram(
            "tabular_probability",
            "Predicted probabilities.",
            ("version",),
            buckets=PROBABILITIES,
            registry=registry,
        )
        self.missing = Counter(
            "tabular_missing_values",
            "Missing values in records with a prediction.",
            ("column",),
            registry=registry,
        )
        self.workers = Gauge(
            "tabular_model_workers",
            "Workers that serve a version as the current one.",
            ("version",),
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.created = Gauge(
            "tabular_model_created_timestamp_seconds",
            "Training time of a version.",
            ("version",),
            multiprocess_mode="livemax",
            registry=registry,
        )
        self.reloads = Counter(
            "tabular_reloads",
            "Loads of versions, by result.",
            ("result",),
            registry=registry,
        )
        self.failing = Gauge(
            "tabular_reload_failing",
            "1 while a requested version cannot be loaded, otherwise 0.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        # labels() takes longer than counting, so its results are cached. The number of keys is
        # bounded by the routes, statuses and versions of the service.
        self._requests: dict[tuple[str, int, str], Any] = {}
        self._seconds: dict[str, Any] = {}
        self._versions: dict[str, _VersionMetrics] = {}

    def observe_request(self, route: str, status: int, version: str, seconds: float) -> None:
        """Count a request.

        Args:
            route: the rule that matched.
            status: the HTTP status of the response.
            version: the version of the model that responded, or "".
            seconds: the time from construction of the request to its response.
        """
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
            version: the version that predicted.
            probabilities: float32 (n,).
            missing: the number of missing values by column.
        """
        version_metrics = self._versions.get(version)
        if version_metrics is None:
            version_metrics = self._versions[version] = _VersionMetrics(self, version)
        version_metrics.observe_predictions(probabilities)
        for column, n in missing.items():
            self.missing.labels(column).inc(n)

    def count_problems(self, problems: Sequence[Problem], columns: frozenset[str]) -> None:
        """Count problems of records by column and code; unknown names count as ``(none)``."""
        counts = Tally((p.field if p.field in columns else "", p.code) for p in problems)
        for (column, code), n in counts.items():
            self.rejected.labels(column or "(none)", code).inc(n)

    def count_reload(self, result: str) -> None:
        """Count a reload with the result ``loaded`` or ``failed``."""
        self.reloads.labels(result).inc()

    def set_serving_version(self, version: str, created: float, others: Iterable[str]) -> None:
        """Set the version that this worker serves as the current one.

        Args:
            version: the current version.
            created: its training time, in seconds since 1970.
            others: versions that the worker served before.
        """
        for other in others:
            self.workers.labels(other).set(0)
        self.workers.labels(version).set(1)
        self.created.labels(version).set(created)

    def text(self) -> bytes:
        """Return the metrics of all workers in the Prometheus text format."""
        if not self._shared:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)


class _VersionMetrics:
    """The metrics with the label of one version, looked up once."""

    def __init__(self, metrics: Metrics, version: str) -> None:
        self._records = metrics.records.labels(version)
        self._probability = metrics.probability.labels(version)

    def observe_predictions(self, probabilities: np.ndarray) -> None:
        n = len(probabilities)
        self._records.inc(n)
        if n == 1:
            self._probability.observe(float(probabilities[0]))
            return
        # prometheus_client observes one value at a time: 10 ms for 10,000 values.
        counts = np.bincount(np.searchsorted(PROBABILITIES, probabilities), minlength=11)
        for bucket, count in zip(self._probability._buckets, counts.tolist(), strict=True):
            if count:
                bucket.inc(count)
        self._probability._sum.inc(float(probabilities.sum(dtype=np.float64)))
