"""Versions to load and to unload, as requested over HTTP since the service started.

The workers share the requests through a file, because every worker must follow them. Not
persistent: use the settings for anything that must survive a restart.
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
    """The requested versions.

    Attributes:
        loaded: versions to serve in addition to the current one.
        unloaded: versions of the settings not to serve.
        unload_all: whether to serve no version at all.
    """

    loaded: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    unload_all: bool = False


class LoadOverrides:
    """The load and unload requests of all workers.

    Args:
        folder: the folder that the workers share; None keeps the requests in this process.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._local = OverrideState()

    def read(self) -> OverrideState:
        """Return the current state."""
        if self._folder is None:
            return self._local
        try:
            return msgspec.json.decode((self._folder / _FILE_NAME).read_bytes(), type=OverrideState)
        except FileNotFoundError:
            return OverrideState()

    def load(self, version: str) -> None:
        """Request a version; "" ends an unload of all versions."""
        with self._locked() as state:
            self._write(_updated(state, version, unload_all=False, loaded=True))

    def unload(self, version: str) -> None:
        """Request that a version is not served; "" unloads all versions."""
        with self._locked() as state:
            unload_all = state.unload_all or not version
            self._write(_updated(state, version, unload_all=unload_all, loaded=False))

    def clear(self) -> None:
        """Remove all requests; a server does so when it starts."""
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
    state: OverrideState, version: str, *, unload_all: bool, loaded: bool
) -> OverrideState:
    """Return the state with a version moved to the loaded or the unloaded ones; "" moves none."""
    added = (version,) if version else ()
    return OverrideState(
        tuple(v for v in state.loaded if v != version) + (added if loaded else ()),
        tuple(v for v in state.unloaded if v != version) + (() if loaded else added),
        unload_all,
    )
