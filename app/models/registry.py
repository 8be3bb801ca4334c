"""The serving versions: loaded after the fork, replaced when another becomes current."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.models.load_overrides import LoadOverrides
from app.models.loaded_model import (
    Fingerprint,
    LoadedModel,
    translate_loading_errors,
    version_fingerprint,
)
from app.settings import Settings
from app.web import ApiError, Metrics, NotReady
from model.artifacts import Store
from model.errors import ModelError, UnknownVersion

logger = logging.getLogger(__name__)

CURRENT_KEY = "current"
"""The key of a failure if the current version is not known."""


@dataclass(frozen=True)
class RegistrySnapshot:
    """The serving versions at one moment, replaced as a whole so that every request is consistent.

    Attributes:
        loaded: the loaded models, by version.
        current: the version for requests that name none; None if no version is serving.
        failures: the reason of each failed load, by version.
    """

    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)
    current: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict)


class ModelRegistry:
    """The store's current version and the other requested versions, updated with the store.

    A request gets its model once, so no response mixes two versions. If a version cannot be loaded,
    the previous one keeps serving.

    Args:
        settings: the store, the versions and their labels.
        metrics: the metrics that count reloads and records.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._overrides = LoadOverrides(settings.run_folder)
        self._snapshot = RegistrySnapshot(failures={CURRENT_KEY: "no model has been loaded yet"})
        self._fingerprints: dict[str, Fingerprint] = {}
        self._refresh_lock = threading.Lock()
        self._start_lock = threading.Lock()
        self._started = False

    def get(self, version: str = "", label: str = "") -> LoadedModel:
        """Return the current model, or the one with a version or a label.

        Args:
            version: a version; "" for the current one.
            label: a label of the settings or ``current``; takes precedence over the version.

        Raises:
            NotReady: no model is loaded.
            UnknownVersion: the version is not loaded, or the label does not exist.
        """
        snapshot = self.snapshot
        if label and label != "current":
            if label not in self._settings.version_labels:
                labels = ", ".join(["current", *self._settings.version_labels])
                raise UnknownVersion(f"unknown version label; the labels are: {labels}")
            version = self._settings.version_labels[label]
        version = version or snapshot.current or ""
        if version in snapshot.loaded:
            return snapshot.loaded[version]
        if snapshot.current is None:
            raise NotReady("; ".join(snapshot.failures.values()) or "no model is loaded")
        loaded = ", ".join(sorted(snapshot.loaded, key=_version_number))
        raise UnknownVersion(f"this version is not loaded; the loaded versions are: {loaded}")

    @property
    def snapshot(self) -> RegistrySnapshot:
        """The serving versions; the first access loads them."""
        if not self._started:
            self.start()
        return self._snapshot

    @property
    def failure(self) -> str | None:
        """The reasons why requested versions are not serving; None if all are."""
        return "; ".join(self._snapshot.failures.values()) or None

    def start(self) -> None:
        """Load the versions and start polling the store; a server calls this after the fork."""
        with self._start_lock:
            if self._started:
                return
            self.refresh()
            threading.Thread(target=self._poll_store, name="poll-store", daemon=True).start()
            self._started = True

    def load(self, version: str = "") -> None:
        """Serve a version in addition to the current one; "" only ends an unload of all versions.

        A load of any version ends an unload of all versions. The other workers follow within
        ``RELOAD_SECONDS``. A version that this worker cannot load is not requested from them.

        Raises:
            UnknownVersion: the version is not in the store.
            NotReady: the version cannot be loaded; the message gives the reason.
        """
        with translate_loading_errors("the store or the workers' folder"):
            if version:
                self._require_stored(version)
                if version not in self.snapshot.loaded:
                    self._load_model(Store(self._settings.model_store), version)
            self._overrides.load(version)
        self.refresh()
        snapshot = self._snapshot
        requested = version or snapshot.current
        if requested not in snapshot.loaded or requested in snapshot.failures:
            raise NotReady(self.failure or "no model is loaded")

    def unload(self, version: str = "") -> None:
        """Stop serving a version, or with "" all of them; the other workers follow.

        Raises:
            UnknownVersion: the version is not in the store.
            ApiError: it is the current version, which requests without a version need.
            NotReady: the request cannot be shared with the other workers.
        """
        with translate_loading_errors("the store or the workers' folder"):
            if version:
                self._require_stored(version)
                if version == self.snapshot.current:
                    raise ApiError("version_in_use", f"version {version} is the current version")
            self._overrides.unload(version)
        self.refresh()

    def _require_stored(self, version: str) -> None:
        stored = Store(self._settings.model_store).versions()
        if version not in stored:
            known = ", ".join(stored) or "none"
            raise UnknownVersion(f"this version does not exist; the versions are: {known}")

    def refresh(self) -> None:
        """Load and unload versions to match the store, settings and requests. Never raises."""
        with self._refresh_lock:
            before = self._snapshot
            try:
                self._snapshot = self._build_snapshot(before)
            except Exception as error:
                # Keep serving the previous versions; the next refresh may succeed.
                reason = f"the store cannot be read ({type(error).__name__})"
                if before.failures.get(CURRENT_KEY) != reason:
                    logger.exception("Model not loaded: %s", reason)
                self._snapshot = RegistrySnapshot(
                    before.loaded, before.current, {CURRENT_KEY: reason}
                )
            self._log_changes(before, self._snapshot)

    def _build_snapshot(self, before: RegistrySnapshot) -> RegistrySnapshot:
        store = Store(self._settings.model_store)
        overrides = self._overrides.read()
        failures: dict[str, str] = {}
        try:
            stored_current = store.current().version
        except ModelError as error:
            stored_current, failures[CURRENT_KEY] = None, str(error)
        if overrides.unload_all:
            self._fingerprints.clear()
            return RegistrySnapshot(failures={CURRENT_KEY: "the model was unloaded"})
        requested = [
            *([stored_current] if stored_current else []),
            *self._additional_versions(store),
            *overrides.loaded,
        ]
        loaded: dict[str, LoadedModel] = {}
        for version in dict.fromkeys(requested):
            if version != stored_current and version in overrides.unloaded:
                continue
            model = self._open_version(store, version, before.loaded.get(version), failures)
            if model is not None:
                loaded[version] = model
        is_serving = stored_current in loaded and stored_current not in failures
        current = stored_current if is_serving else before.current
        if current is not None and current not in loaded:
            loaded[current] = before.loaded[current]
        self._fingerprints = {v: s for v, s in self._fingerprints.items() if v in loaded}
        return RegistrySnapshot(loaded, current, failures)

    def _additional_versions(self, store: Store) -> list[str]:
        """Return the versions of the settings to serve in addition to the current one."""
        setting = self._settings.versions
        versions = store.versions() if setting == ("all",) else [v for v in setting if v.isdigit()]
        return [*versions, *self._settings.version_labels.values()]

    def _open_version(
        self, store: Store, version: str, before: LoadedModel | None, failures: dict[str, str]
    ) -> LoadedModel | None:
        """Return a version, loaded and verified; the previous object if its files are unchanged.

        If the version cannot be loaded, add the reason to the failures and return the previous
        object.
        """
        try:
            with translate_loading_errors(f"version {version}"):
                fingerprint = version_fingerprint(store, version)
                if before is not None and self._fingerprints.get(version) == fingerprint:
                    return before
                model = self._load_model(store, version)
        except (NotReady, UnknownVersion) as error:
            failures[version] = str(error)
            if error.__cause__ and self._snapshot.failures.get(version) != failures[version]:
                logger.error("Model not loaded: %s", failures[version], exc_info=error.__cause__)
            return before
        self._fingerprints[version] = fingerprint
        self._metrics.count_reload("loaded")
        logger.info("Loaded version %s.", version)
        return model

    def _load_model(self, store: Store, version: str) -> LoadedModel:
        max_records = self._settings.max_records
        return LoadedModel(store, version, self._metrics, max_records=max_records)

    def _log_changes(self, before: RegistrySnapshot, after: RegistrySnapshot) -> None:
        """Log and count the changes between two snapshots."""
        for version, reason in after.failures.items():
            if before.failures.get(version) != reason:
                logger.error("Model not loaded: %s", reason)
                self._metrics.count_reload("failed")
        self._metrics.failing.set(bool(after.failures))
        if after.current is not None and after.current != before.current:
            model = after.loaded[after.current]
            others = [before.current] if before.current else []
            self._metrics.set_serving_version(after.current, model.created, others)
            logger.info("Serving version %s.", after.current)
        elif after.current is None and before.current is not None:
            self._metrics.workers.labels(before.current).set(0)
            logger.warning("No version is serving: %s", self.failure)

    def _poll_store(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._settings.reload_seconds):
            self.refresh()


def _version_number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdigit() else 0, version)
