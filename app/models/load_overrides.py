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

_FILE = "wishes.json"


class Wishes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for.

    Attributes:
        loaded: versions to serve beside the current one.
        unloaded: versions not to serve, though the settings name them.
        off: whether nothing is to be served at all.
    """

    loaded: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    off: bool = False


class WishList:
    """The wishes of all workers.

    Args:
        folder: that the workers share; None keeps them in this process alone.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._alone = Wishes()

    def read(self) -> Wishes:
        """The wishes as they are now."""
        if self._folder is None:
            return self._alone
        try:
            return msgspec.json.decode((self._folder / _FILE).read_bytes(), type=Wishes)
        except FileNotFoundError:
            return Wishes()

    def load(self, version: str) -> None:
        """Ask for a version; with "", for everything that was unloaded as a whole."""
        with self._changing() as now:
            self._write(_without(now, version, off=False, also_loaded=version))

    def unload(self, version: str) -> None:
        """Ask for a version not to be served; with "", for nothing to be served."""
        with self._changing() as now:
            self._write(_without(now, version, off=now.off or not version, also_unloaded=version))

    def forget(self, version: str) -> None:
        """Take back whatever was asked about a version."""
        with self._changing() as now:
            self._write(_without(now, version, off=now.off))

    def clear(self) -> None:
        """Forget everything; a server does so when it starts, in a folder that it was given."""
        if self._folder is not None:
            (self._folder / _FILE).unlink(missing_ok=True)
        self._alone = Wishes()

    @contextmanager
    def _changing(self) -> Iterator[Wishes]:
        if self._folder is None:
            yield self._alone
            return
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()

    def _write(self, wishes: Wishes) -> None:
        self._alone = wishes
        if self._folder is not None:
            replace_file(self._folder / _FILE, msgspec.json.encode(wishes))


def _without(
    now: Wishes, version: str, *, off: bool, also_loaded: str = "", also_unloaded: str = ""
) -> Wishes:
    """The wishes without what they say of a version, and with what is said of it now."""
    loaded = [v for v in now.loaded if v != version]
    unloaded = [v for v in now.unloaded if v != version]
    return Wishes(
        tuple([*loaded, also_loaded] if also_loaded else loaded),
        tuple([*unloaded, also_unloaded] if also_unloaded else unloaded),
        off,
    )
