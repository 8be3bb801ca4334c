"""Versions of an artifact, the current one, promote and roll back.

    artifacts/cleveland/1/              a version: a folder named by a number
    artifacts/cleveland/2/
    artifacts/cleveland/current.json    which version serves, and which ones did before

A store may also be a single version's folder, which is then the current one for good.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from model.artifacts.artifact import (
    MANIFEST_FILE,
    TEMPORARY_PREFIX,
    Artifact,
    add_attachment,
    add_metrics,
    read_artifact,
    write_artifact,
)
from model.artifacts.atomic_files import replace_file
from model.artifacts.manifest import Manifest
from model.errors import (
    ArtifactDamaged,
    DamagedPointer,
    NoCurrentVersion,
    NothingToRollBack,
    StoreError,
    UnknownVersion,
)

CURRENT_FILE = "current.json"


class CurrentVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version serves.

    Attributes:
        version: the current one.
        previous: those that were current before it, oldest first.
    """

    version: str
    previous: tuple[str, ...] = ()


class _ManifestVersion(msgspec.Struct):
    """As much of a manifest as says which version it is."""

    version: str


class Store:
    """The versions of one model in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_single = (folder / MANIFEST_FILE).is_file()

    def versions(self) -> list[str]:
        """All versions, oldest first."""
        if self.is_single:
            return [self._single_version]
        if not self.folder.is_dir():
            return []
        found = [path.name for path in self.folder.iterdir() if path.is_dir()]
        return sorted((name for name in found if name.isascii() and name.isdigit()), key=int)

    def path(self, version: str) -> Path:
        """The folder of a version.

        Raises:
            UnknownVersion: there is none of that name.
        """
        if version not in self.versions():
            known = ", ".join(self.versions()) or "none"
            raise UnknownVersion(f"there is no version {version}; there are: {known}")
        return self.folder if self.is_single else self.folder / version

    def read(self, version: str, *, fingerprint: str | None = None) -> Artifact:
        """Verify a version and read it.

        Raises:
            UnknownVersion: there is none of that name.
            ArtifactError: as :func:`model.artifacts.artifact.read_artifact`, and where the folder is a copy
                of another version.
        """
        artifact = read_artifact(self.path(version), fingerprint=fingerprint)
        written = artifact.manifest.version
        if written != version and not self.is_single:
            raise ArtifactDamaged(f"version {version}: its manifest is that of version {written}")
        return artifact

    def current(self) -> CurrentVersion:
        """The version that serves.

        Raises:
            NoCurrentVersion: nothing was promoted yet.
            DamagedPointer: the file that says so is damaged.
            StoreError: it cannot be read.
        """
        if self.is_single:
            return CurrentVersion(self._single_version)
        try:
            return msgspec.json.decode(
                (self.folder / CURRENT_FILE).read_bytes(), type=CurrentVersion
            )
        except FileNotFoundError:
            raise NoCurrentVersion("no version is current yet; make train makes one") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise DamagedPointer(
                f"{CURRENT_FILE} is damaged; promote a version to mend it"
            ) from None
        except OSError as error:
            raise StoreError(f"{CURRENT_FILE} cannot be read: {error.strerror}") from None

    def add(self, manifest: Manifest, files: Mapping[str, bytes]) -> Artifact:
        """Write a new version, numbered after the greatest one; what serves stays what it is."""
        with self.locked():
            for leftover in self.folder.glob(f"{TEMPORARY_PREFIX}*"):  # of a writer that was killed
                shutil.rmtree(leftover, ignore_errors=True)
            version = str(int(self.versions()[-1]) + 1 if self.versions() else 1)
            manifest = msgspec.structs.replace(manifest, version=version)
            return write_artifact(self.folder / version, manifest, files)

    def add_metrics(self, version: str, metrics: Mapping[str, Any]) -> Artifact:
        """Add results of an evaluation to a version, replacing those of the same name."""
        with self.locked():
            return add_metrics(self.read(version), metrics)

    def add_attachment(self, version: str, name: str, data: bytes) -> Artifact:
        """Add a file that a person reads, such as ``report.html``, to a version that has none yet.

        Raises:
            FileExistsError: it has one.
        """
        with self.locked():
            return add_attachment(self.read(version), name, data)

    def promote(self, version: str) -> CurrentVersion:
        """Make a version the current one.

        Raises:
            UnknownVersion: there is none of that name.
        """
        with self.locked():
            self.path(version)
            try:
                now = self.current()
            except (NoCurrentVersion, DamagedPointer):
                return self._write_current(CurrentVersion(version))
            if now.version == version:
                return now
            return self._write_current(CurrentVersion(version, (*now.previous, now.version)))

    def rollback(self) -> CurrentVersion:
        """Make the version current again that was so before the current one.

        Raises:
            NothingToRollBack: there was none, or it is no longer in the store.
        """
        with self.locked():
            now = self.current()
            kept = [version for version in now.previous if version in self.versions()]
            if not kept:
                raise NothingToRollBack(f"version {now.version} has no predecessor in the store")
            return self._write_current(CurrentVersion(kept[-1], tuple(kept[:-1])))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other writers out of the store for a while; readers need no lock."""
        if self.is_single:
            raise StoreError("this is the folder of a single version, which cannot be changed")
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @cached_property
    def _single_version(self) -> str:
        """The version in a single folder, whatever that is called: a host may have named it."""
        try:
            return msgspec.json.decode(
                (self.folder / MANIFEST_FILE).read_bytes(), type=_ManifestVersion
            ).version
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return self.folder.name  # reading the artifact will say what is wrong with it

    def _write_current(self, current: CurrentVersion) -> CurrentVersion:
        replace_file(self.folder / CURRENT_FILE, msgspec.json.encode(current))
        return current
