"""The versions that serve: opened after the fork, replaced when another one becomes current."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.models.load_overrides import WishList
from app.models.loaded_model import LoadedModel, Signature, saying_why, signature_of
from app.settings import Settings
from app.web import Metrics, NotReady, Refused
from model.artifacts import Store
from model.errors import ModelError, UnknownVersion

logger = logging.getLogger(__name__)

POINTER = "current"
"""Under which the failure stands where it is not known which version is the current one."""


@dataclass(frozen=True)
class Table:
    """What serves at one moment; replaced as a whole, so that no request sees half a change.

    Attributes:
        loaded: by version.
        current: the version that answers where none is named; None where nothing serves.
        failures: by version, why what is in the store is not what serves.
    """

    loaded: Mapping[str, LoadedModel] = field(default_factory=dict)
    current: str | None = None
    failures: Mapping[str, str] = field(default_factory=dict)


class Models:
    """Holds the store's current version and whichever others are wanted, and follows the store.

    A request takes its model once and keeps it, so no answer mixes two versions. A version that
    cannot be loaded leaves the one before serving.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._wishes = WishList(settings.run_folder)
        self._table = Table(failures={POINTER: "no model has been loaded yet"})
        self._signatures: dict[str, Signature] = {}
        self._refreshing = threading.Lock()
        self._starting = threading.Lock()
        self._started = False

    def get(self, version: str = "", label: str = "") -> LoadedModel:
        """The model that answers now: the current one, or one that is named.

        Raises:
            NotReady: nothing is loaded.
            UnknownVersion: another version is named than is loaded, or a label that is not known.
        """
        table = self.table
        if label and label != "current":
            if label not in self._settings.version_labels:
                raise UnknownVersion(f"there is no label {label[:64]}")
            version = self._settings.version_labels[label]
        version = version or table.current or ""
        if version in table.loaded:
            return table.loaded[version]
        if table.current is None:
            raise NotReady("; ".join(table.failures.values()) or "nothing is loaded")
        loaded = ", ".join(sorted(table.loaded, key=_by_number))
        raise UnknownVersion(f"this version is not loaded; loaded are: {loaded}")

    @property
    def table(self) -> Table:
        """What serves now; the first look starts the models."""
        if not self._started:
            self.start()
        return self._table

    @property
    def failure(self) -> str | None:
        """Why what serves is not what is wanted; None where it is."""
        return "; ".join(self._table.failures.values()) or None

    def start(self) -> None:
        """Load what is wanted and follow the store from now on; in a server, after the fork."""
        with self._starting:
            if self._started:
                return
            self.refresh()
            threading.Thread(target=self._follow, name="follow-store", daemon=True).start()
            self._started = True

    def load(self, version: str = "") -> None:
        """Serve a version beside the current one, or everything again after an unload.

        Either ends an unload of everything. The other workers follow within ``RELOAD_SECONDS``;
        they are not asked for a version that this one cannot open.

        Raises:
            UnknownVersion: it is not in the store.
            NotReady: it cannot be loaded; the message says why.
        """
        with saying_why("the store or the workers' folder"):
            if version:
                self._require_stored(version)
                if version not in self.table.loaded:
                    LoadedModel(
                        Store(self._settings.model_store), version, self._settings, self._metrics
                    )
            self._wishes.load(version)
        self.refresh()
        table = self._table
        wanted = version or table.current
        if wanted is None or wanted not in table.loaded or wanted in table.failures:
            raise NotReady(self.failure or "nothing is loaded")

    def unload(self, version: str = "") -> None:
        """Stop serving a version, or all of them; the other workers follow.

        Raises:
            UnknownVersion: it is not in the store.
            Refused: it is the current one, without which no request without a version could be
                answered.
            NotReady: the other workers cannot be told.
        """
        with saying_why("the store or the workers' folder"):
            if version:
                self._require_stored(version)
                if version == self.table.current:
                    raise Refused("version_in_use", f"version {version} is the current one")
            self._wishes.unload(version)
        self.refresh()

    def _require_stored(self, version: str) -> None:
        stored = Store(self._settings.model_store).versions()
        if version not in stored:
            known = ", ".join(stored) or "none"
            raise UnknownVersion(f"there is no such version; there are: {known}")

    def refresh(self) -> None:
        """Bring what serves in line with what is wanted. Never raises."""
        with self._refreshing:
            before = self._table
            try:
                self._table = self._refreshed(before)
            except Exception as error:
                # Whatever it was, what served goes on serving, and the next look may succeed.
                reason = f"the store cannot be followed ({type(error).__name__})"
                if before.failures.get(POINTER) != reason:
                    logger.exception("not loaded: %s", reason)
                self._table = Table(before.loaded, before.current, {POINTER: reason})
            self._tell(before, self._table)

    def _refreshed(self, before: Table) -> Table:
        store = Store(self._settings.model_store)
        wishes = self._wishes.read()
        failures: dict[str, str] = {}
        try:
            pointed = store.current().version
        except ModelError as error:
            pointed, failures[POINTER] = None, str(error)
        if wishes.off:
            self._signatures.clear()
            return Table(failures={POINTER: "the model was unloaded"})
        wanted = [*([pointed] if pointed else []), *self._beside(store), *wishes.loaded]
        loaded: dict[str, LoadedModel] = {}
        for version in dict.fromkeys(wanted):
            if version != pointed and version in wishes.unloaded:
                continue
            model = self._open(store, version, before.loaded.get(version), failures)
            if model is not None:
                loaded[version] = model
        current = pointed if pointed in loaded and pointed not in failures else before.current
        if current is not None and current not in loaded:
            loaded[current] = before.loaded[current]
        self._signatures = {v: s for v, s in self._signatures.items() if v in loaded}
        return Table(loaded, current, failures)

    def _beside(self, store: Store) -> list[str]:
        """The versions that the settings want served beside the current one."""
        versions = self._settings.versions
        named = store.versions() if versions == ("all",) else [v for v in versions if v.isdigit()]
        return [*named, *self._settings.version_labels.values()]

    def _open(
        self, store: Store, version: str, before: LoadedModel | None, failures: dict[str, str]
    ) -> LoadedModel | None:
        """A version, opened and verified; the one that serves already where nothing has changed.

        What cannot be loaded is noted among the failures, and what served before is kept.
        """
        try:
            with saying_why(f"version {version}"):
                signature = signature_of(store, version)
                if before is not None and self._signatures.get(version) == signature:
                    return before
                model = LoadedModel(store, version, self._settings, self._metrics)
        except (NotReady, UnknownVersion) as error:
            failures[version] = str(error)
            if error.__cause__ and self._table.failures.get(version) != failures[version]:
                logger.error("not loaded: %s", failures[version], exc_info=error.__cause__)
            return before
        self._signatures[version] = signature
        self._metrics.loaded("loaded")
        logger.info("loaded version %s", version)
        return model

    def _tell(self, before: Table, after: Table) -> None:
        """Log and count what has changed."""
        for version, reason in after.failures.items():
            if before.failures.get(version) != reason:
                logger.error("not loaded: %s", reason)
                self._metrics.loaded("failed")
        self._metrics.failing.set(bool(after.failures))
        if after.current is not None and after.current != before.current:
            model = after.loaded[after.current]
            others = [before.current] if before.current else []
            self._metrics.serving(after.current, model.created, others)
            logger.info("serving version %s", after.current)
        elif after.current is None and before.current is not None:
            self._metrics.workers.labels(before.current).set(0)
            logger.warning("serving nothing: %s", self.failure)

    def _follow(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._settings.reload_seconds):
            self.refresh()


def _by_number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdigit() else 0, version)
