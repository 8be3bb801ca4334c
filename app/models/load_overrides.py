"""What was asked for over HTTP since the service started: versions to load and to unload.

The workers share it through a file, because whichever of them was asked, all must follow. It ends
with the service: what should outlive it belongs into the settings.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from model.artifacts import replace_file

_FILE_NAME = "load_overrides.json"


class OverrideState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for.

    Attributes:
        loaded: versions to serve beside the current one.
        unloaded: versions not to serve, though the settings name them.
        unload_all: whether nothing is to be served at all.
    """

    loaded: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    unload_all: bool = False


class LoadOverrides:
    """The wishes of all workers.

    Args:
        folder: that the workers share; None keeps them in this process alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._local = OverrideState()

    def read(self) -> OverrideState:
        """The wishes as they are now."""
        if self._folder is None:
            return self._local
        try:
            return msgspec.json.decode((self._folder / _FILE_NAME).read_bytes(), type=OverrideState)
        except FileNotFoundError:
            return OverrideState()

    def load(self, version: str) -> None:
        """Ask for a version; with "", for everything that was unloaded as a whole."""
        with self._locked() as now:
            self._write(_updated(now, version, unload_all=False, also_loaded=version))

    def unload(self, version: str) -> None:
        """Ask for a version not to be served; with "", for nothing to be served."""
        with self._locked() as now:
            self._write(
                _updated(
                    now, version, unload_all=now.unload_all or not version, also_unloaded=version
                )
            )

    def forget(self, version: str) -> None:
        """Take back whatever was asked about a version."""
        with self._locked() as now:
            self._write(_updated(now, version, unload_all=now.unload_all))

    def clear(self) -> None:
        """Forget everything; a server does so when it starts, in a folder that it was given."""
        if self._folder is not None:
            (self._folder / _FILE_NAME).unlink(missing_ok=True)
        self._local = OverrideState()

    @contextmanager
    def _locked(self) -> Iterator[OverrideState]:
        if self._folder is None:
            yield self._local
            return
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()

    def _write(self, overrides: OverrideState) -> None:
        self._local = overrides
        if self._folder is not None:
            replace_file(self._folder / _FILE_NAME, msgspec.json.encode(overrides))


def _updated(
    now: OverrideState,
    version: str,
    *,
    unload_all: bool,
    also_loaded: str = "",
    also_unloaded: str = "",
) -> OverrideState:
    """The wishes without what they say of a version, and with what is said of it now."""
    loaded = [v for v in now.loaded if v != version]
    unloaded = [v for v in now.unloaded if v != version]
    return OverrideState(
        tuple([*loaded, also_loaded] if also_loaded else loaded),
        tuple([*unloaded, also_unloaded] if also_unloaded else unloaded),
        unload_all,
    )
