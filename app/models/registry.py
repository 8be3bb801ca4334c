"""The versions that serve: opened after the fork, replaced when another one becomes current."""

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
"""Under which the failure stands where it is not known which version is the current one."""


@dataclass(frozen=True)
class RegistrySnapshot:
    """What serves at one moment; replaced as a whole, so that no request sees half a change.

    Attributes:
        loaded: by version.
        current: the version that answers where none is named; None where nothing serves.
        failures: by version, why what is in the store is not what serves.
    """

    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)
    current: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict)


class ModelRegistry:
    """Holds the store's current version and whichever others are wanted, and follows the store.

    A request takes its model once and keeps it, so no answer mixes two versions. A version that
    cannot be loaded leaves the one before serving.
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
        """The model that answers now: the current one, or one that is named.

        Raises:
            NotReady: nothing is loaded.
            UnknownVersion: another version is named than is loaded, or a label that is not known.
        """
        snapshot = self.snapshot
        if label and label != "current":
            if label not in self._settings.version_labels:
                raise UnknownVersion(f"there is no label {label[:64]}")
            version = self._settings.version_labels[label]
        version = version or snapshot.current or ""
        if version in snapshot.loaded:
            return snapshot.loaded[version]
        if snapshot.current is None:
            raise NotReady("; ".join(snapshot.failures.values()) or "nothing is loaded")
        loaded = ", ".join(sorted(snapshot.loaded, key=_version_number))
        raise UnknownVersion(f"this version is not loaded; loaded are: {loaded}")

    @property
    def snapshot(self) -> RegistrySnapshot:
        """What serves now; the first look starts the models."""
        if not self._started:
            self.start()
        return self._snapshot

    @property
    def failure(self) -> str | None:
        """Why what serves is not what is wanted; None where it is."""
        return "; ".join(self._snapshot.failures.values()) or None

    def start(self) -> None:
        """Load what is wanted and follow the store from now on; in a server, after the fork."""
        with self._start_lock:
            if self._started:
                return
            self.refresh()
            threading.Thread(target=self._poll_store, name="poll-store", daemon=True).start()
            self._started = True

    def load(self, version: str = "") -> None:
        """Serve a version beside the current one, or everything again after an unload.

        Either ends an unload of everything. The other workers follow within ``RELOAD_SECONDS``;
        they are not asked for a version that this one cannot open.

        Raises:
            UnknownVersion: it is not in the store.
            NotReady: it cannot be loaded; the message says why.
        """
        with translate_loading_errors("the store or the workers' folder"):
            if version:
                self._require_stored(version)
                if version not in self.snapshot.loaded:
                    LoadedModel(
                        Store(self._settings.model_store), version, self._settings, self._metrics
                    )
            self._overrides.load(version)
        self.refresh()
        snapshot = self._snapshot
        wanted = version or snapshot.current
        if wanted is None or wanted not in snapshot.loaded or wanted in snapshot.failures:
            raise NotReady(self.failure or "nothing is loaded")

    def unload(self, version: str = "") -> None:
        """Stop serving a version, or all of them; the other workers follow.

        Raises:
            UnknownVersion: it is not in the store.
            ApiError: it is the current one, without which no request without a version could be
                answered.
            NotReady: the other workers cannot be told.
        """
        with translate_loading_errors("the store or the workers' folder"):
            if version:
                self._require_stored(version)
                if version == self.snapshot.current:
                    raise ApiError("version_in_use", f"version {version} is the current one")
            self._overrides.unload(version)
        self.refresh()

    def _require_stored(self, version: str) -> None:
        stored = Store(self._settings.model_store).versions()
        if version not in stored:
            known = ", ".join(stored) or "none"
            raise UnknownVersion(f"there is no such version; there are: {known}")

    def refresh(self) -> None:
        """Bring what serves in line with what is wanted. Never raises."""
        with self._refresh_lock:
            before = self._snapshot
            try:
                self._snapshot = self._build_snapshot(before)
            except Exception as error:
                # Whatever it was, what served goes on serving, and the next look may succeed.
                reason = f"the store cannot be followed ({type(error).__name__})"
                if before.failures.get(CURRENT_KEY) != reason:
                    logger.exception("not loaded: %s", reason)
                self._snapshot = RegistrySnapshot(
                    before.loaded, before.current, {CURRENT_KEY: reason}
                )
            self._log_changes(before, self._snapshot)

    def _build_snapshot(self, before: RegistrySnapshot) -> RegistrySnapshot:
        store = Store(self._settings.model_store)
        overrides = self._overrides.read()
        failures: dict[str, str] = {}
        try:
            pointed = store.current().version
        except ModelError as error:
            pointed, failures[CURRENT_KEY] = None, str(error)
        if overrides.unload_all:
            self._fingerprints.clear()
            return RegistrySnapshot(failures={CURRENT_KEY: "the model was unloaded"})
        wanted = [
            *([pointed] if pointed else []),
            *self._additional_versions(store),
            *overrides.loaded,
        ]
        loaded: dict[str, LoadedModel] = {}
        for version in dict.fromkeys(wanted):
            if version != pointed and version in overrides.unloaded:
                continue
            model = self._open_version(store, version, before.loaded.get(version), failures)
            if model is not None:
                loaded[version] = model
        current = pointed if pointed in loaded and pointed not in failures else before.current
        if current is not None and current not in loaded:
            loaded[current] = before.loaded[current]
        self._fingerprints = {v: s for v, s in self._fingerprints.items() if v in loaded}
        return RegistrySnapshot(loaded, current, failures)

    def _additional_versions(self, store: Store) -> list[str]:
        """The versions that the settings want served beside the current one."""
        versions = self._settings.versions
        named = store.versions() if versions == ("all",) else [v for v in versions if v.isdigit()]
        return [*named, *self._settings.version_labels.values()]

    def _open_version(
        self, store: Store, version: str, before: LoadedModel | None, failures: dict[str, str]
    ) -> LoadedModel | None:
        """A version, opened and verified; the one that serves already where nothing has changed.

        What cannot be loaded is noted among the failures, and what served before is kept.
        """
        try:
            with translate_loading_errors(f"version {version}"):
                fingerprint = version_fingerprint(store, version)
                if before is not None and self._fingerprints.get(version) == fingerprint:
                    return before
                model = LoadedModel(store, version, self._settings, self._metrics)
        except (NotReady, UnknownVersion) as error:
            failures[version] = str(error)
            if error.__cause__ and self._snapshot.failures.get(version) != failures[version]:
                logger.error("not loaded: %s", failures[version], exc_info=error.__cause__)
            return before
        self._fingerprints[version] = fingerprint
        self._metrics.count_reload("loaded")
        logger.info("loaded version %s", version)
        return model

    def _log_changes(self, before: RegistrySnapshot, after: RegistrySnapshot) -> None:
        """Log and count what has changed."""
        for version, reason in after.failures.items():
            if before.failures.get(version) != reason:
                logger.error("not loaded: %s", reason)
                self._metrics.count_reload("failed")
        self._metrics.failing.set(bool(after.failures))
        if after.current is not None and after.current != before.current:
            model = after.loaded[after.current]
            others = [before.current] if before.current else []
            self._metrics.set_serving_version(after.current, model.created, others)
            logger.info("serving version %s", after.current)
        elif after.current is None and before.current is not None:
            self._metrics.workers.labels(before.current).set(0)
            logger.warning("serving nothing: %s", self.failure)

    def _poll_store(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._settings.reload_seconds):
            self.refresh()


def _version_number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdigit() else 0, version)
