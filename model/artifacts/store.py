"""The store of a model's versions: the current version, promotion and rollback.

    artifacts/cleveland/1/              a version: a folder named by a number
    artifacts/cleveland/2/
    artifacts/cleveland/current.json    the current version and its predecessors

A store can also be the folder of a single version, which is then always the current one.
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
    """The current version and its predecessors.

    Attributes:
        version: the version that serves.
        previous: the versions that were current before, oldest first.
    """

    version: str
    previous: tuple[str, ...] = ()


class _ManifestVersion(msgspec.Struct):
    """The version field of a manifest."""

    version: str


class Store:
    """A store of the versions of one model, in one folder.

    Attributes:
        is_single: whether the folder is a single version, which cannot be changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_single = (folder / MANIFEST_FILE).is_file()

    def versions(self) -> list[str]:
        """Return all versions, oldest first."""
        if self.is_single:
            return [self._single_version]
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir() if path.is_dir()]
        return sorted((name for name in names if name.isascii() and name.isdigit()), key=int)

    def path(self, version: str) -> Path:
        """Return the folder of a version.

        Raises:
            UnknownVersion: the store has no such version.
        """
        versions = self.versions()
        if version not in versions:
            available = ", ".join(versions) or "none"
            raise UnknownVersion(f"there is no version {version}; available versions: {available}")
        return self.folder if self.is_single else self.folder / version

    def read(self, version: str, *, fingerprint: str | None = None) -> Artifact:
        """Verify and read a version.

        Raises:
            UnknownVersion: the store has no such version.
            ArtifactError: as for :func:`model.artifacts.artifact.read_artifact`, and if the folder
                is a copy of another version.
        """
        artifact = read_artifact(self.path(version), fingerprint=fingerprint)
        manifest_version = artifact.manifest.version
        if manifest_version != version and not self.is_single:
            raise ArtifactDamaged(
                f"version {version}: its manifest belongs to version {manifest_version}"
            )
        return artifact

    def current(self) -> CurrentVersion:
        """Return the current version.

        Raises:
            NoCurrentVersion: no version has been promoted yet.
            DamagedPointer: the file that names the current version is damaged.
            StoreError: the file cannot be read.
        """
        if self.is_single:
            return CurrentVersion(self._single_version)
        try:
            return msgspec.json.decode(
                (self.folder / CURRENT_FILE).read_bytes(), type=CurrentVersion
            )
        except FileNotFoundError:
            raise NoCurrentVersion(
                "no version is current yet; run make train to create one"
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise DamagedPointer(
                f"{CURRENT_FILE} is damaged; promote a version to replace it"
            ) from None
        except OSError as error:
            raise StoreError(f"{CURRENT_FILE} cannot be read: {error.strerror}") from None

    def add(self, manifest: Manifest, files: Mapping[str, bytes]) -> Artifact:
        """Write a new version with the next number; the current version does not change."""
        with self.locked():
            for leftover in self.folder.glob(f"{TEMPORARY_PREFIX}*"):  # from killed writers
                shutil.rmtree(leftover, ignore_errors=True)
            version = str(int(self.versions()[-1]) + 1 if self.versions() else 1)
            manifest = msgspec.structs.replace(manifest, version=version)
            return write_artifact(self.folder / version, manifest, files)

    def add_metrics(self, version: str, metrics: Mapping[str, Any]) -> Artifact:
        """Add evaluation results to a version; results of the same name are replaced."""
        with self.locked():
            return add_metrics(self.read(version), metrics)

    def add_attachment(self, version: str, name: str, data: bytes) -> Artifact:
        """Add a file for people, such as ``report.html``, to a version that does not have it yet.

        Raises:
            FileExistsError: the version already has the file.
        """
        with self.locked():
            return add_attachment(self.read(version), name, data)

    def promote(self, version: str) -> CurrentVersion:
        """Make a version the current one.

        A damaged ``current.json`` is replaced, and its predecessors are lost.

        Raises:
            UnknownVersion: the store has no such version.
        """
        with self.locked():
            self.path(version)
            try:
                current = self.current()
            except (NoCurrentVersion, DamagedPointer):
                return self._write_current(CurrentVersion(version))
            if current.version == version:
                return current
            previous = (*current.previous, current.version)
            return self._write_current(CurrentVersion(version, previous))

    def rollback(self) -> CurrentVersion:
        """Make the previous version the current one; versions no longer in the store are skipped.

        Raises:
            NothingToRollBack: the store has no previous version.
        """
        with self.locked():
            current, versions = self.current(), self.versions()
            previous = [version for version in current.previous if version in versions]
            if not previous:
                raise NothingToRollBack(
                    f"version {current.version} has no predecessor in the store"
                )
            return self._write_current(CurrentVersion(previous[-1], tuple(previous[:-1])))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store's lock against other writers; readers need no lock."""
        if self.is_single:
            raise StoreError(
                f"{self.folder} is the folder of a single version, which cannot be changed; "
                "use the folder that contains the versions"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @cached_property
    def _single_version(self) -> str:
        """The version in the manifest of a single folder, which a platform may have renamed."""
        try:
            return msgspec.json.decode(
                (self.folder / MANIFEST_FILE).read_bytes(), type=_ManifestVersion
            ).version
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return self.folder.name  # read() reports the problem

    def _write_current(self, current: CurrentVersion) -> CurrentVersion:
        replace_file(self.folder / CURRENT_FILE, msgspec.json.encode(current))
        return current
