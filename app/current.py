"""The model that serves: opened after the fork, replaced when another version becomes current."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from app.settings import Settings
from model.artifact import MANIFEST
from model.errors import ModelError
from model.records import RecordReader
from model.scoring import Scorer
from model.store import Store

logger = logging.getLogger(__name__)

Signature = tuple[str, int, int]


class NotReady(Exception):
    """No verified model is loaded; the message says why."""


@dataclass(frozen=True)
class LoadedModel:
    """One verified version: what reads records for it, and what answers them."""

    version: str
    reader: RecordReader
    scorer: Scorer


class CurrentModel:
    """Holds the store's current version, and follows the store.

    A request takes the model once and keeps it, so no answer mixes two versions. A version that
    cannot be loaded leaves the one before serving.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loaded: LoadedModel | None = None
        self._signature: Signature | None = None
        self._reason = "no model has been loaded yet"
        self._starting = threading.Lock()
        self._started = False

    @property
    def failure(self) -> str | None:
        """Why the store's current version is not the one that serves; None where it is."""
        return self._reason or None

    def get(self) -> LoadedModel:
        """The model that serves now.

        Raises:
            NotReady: none has been loaded.
        """
        if not self._started:
            self.start()
        if self._loaded is None:
            raise NotReady(self._reason)
        return self._loaded

    def start(self) -> None:
        """Load the model and follow the store from now on; in a server, after the fork."""
        with self._starting:
            if self._started:
                return
            self.refresh()
            threading.Thread(target=self._follow, name="follow-store", daemon=True).start()
            self._started = True

    def refresh(self) -> None:
        """Load the store's current version if it is not the one that serves. Never raises."""
        try:
            store = Store(self._settings.model_store)
            folder = store.path(store.current().version)
            status = (folder / MANIFEST).stat()
            signature = (folder.name, status.st_mtime_ns, status.st_ino)
            if signature != self._signature:
                artifact = store.read(folder.name)
                reader = RecordReader(artifact.schema, max_records=self._settings.max_records)
                version = artifact.manifest.version
                self._loaded = LoadedModel(version, reader, Scorer(artifact))
                self._signature = signature
                logger.info("serving version %s", version)
            self._reason = ""
        except (ModelError, OSError) as error:
            reason = str(error) if isinstance(error, ModelError) else "the store cannot be read"
            self._keep_on(reason)
        except Exception as error:
            # Whatever it was, the version before goes on serving, and the next look may succeed.
            reason = f"the current version cannot be loaded ({type(error).__name__})"
            self._keep_on(reason, unexpected=True)

    def _keep_on(self, reason: str, *, unexpected: bool = False) -> None:
        """Go on with the version before, and say why, once."""
        if reason != self._reason:
            logger.error("not loaded: %s", reason, exc_info=unexpected)
        self._reason = reason

    def _follow(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._settings.reload_seconds):
            self.refresh()
