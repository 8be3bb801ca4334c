"""Artifacts: write, verify, read.

An artifact is a folder of JSON, Keras weights and ONNX, without any pickle. Its manifest holds a
checksum of every file and of itself. Nothing is built from an artifact before all of it was
verified, and reading one imports no code that it names.

    manifest.json           what this is, how it came about, checksums
    schema.json             the schema that it was trained on
    encoding.json           the fitted preprocessing
    network.json            the choices that the network was built and fitted with
    network.weights.h5      the Keras weights
    calibration.json        the map of log-odds that these weights have absorbed
    model.onnx              the graph that serves: values → probability
    golden.json             records made from the schema, and the graph's answers to them
    explanation.json        the layers as numbers, and the rows that explanations compare with:
                            training rows of a published file, and otherwise made-up ones
    inputs.json             mean and covariance of the training inputs, with which missing values are
                            filled, and the answers to the golden rows that are given so
    members.json            networks trained on bootstrap samples, from which intervals come
    history.json            loss and metrics of every epoch
    report.html             what a person should know of it: added when the rest is there
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from model.artifacts.atomic_files import _write_synced, replace_file, sync_folder
from model.artifacts.manifest import (
    FileRecord,
    Manifest,
    decode_manifest,
    encode_manifest,
    with_checksum,
)
from model.errors import ArtifactDamaged, ArtifactIncomplete, InvalidSchema, SchemaMismatch
from model.schema import Schema

MANIFEST_FILE = "manifest.json"


TEMPORARY_PREFIX = ".writing-"


FILES = (
    "schema.json",
    "encoding.json",
    "network.json",
    "network.weights.h5",
    "calibration.json",
    "model.onnx",
    "golden.json",
    "explanation.json",
    "inputs.json",
    "members.json",
    "history.json",
)


ADDED_LATER = frozenset({"explanation.json", "inputs.json", "members.json", "calibration.json"})
"""Files that the first artifacts did not have."""


OPTIONAL = frozenset({"explanation.json", "members.json"})
"""Files that not every artifact has: a network whose activation is code of one's own has no layers
that could be written down as numbers."""


ATTACHMENTS = ("report.html",)
"""Files that no program reads: verified where they lie, and never held in memory."""


@dataclass(frozen=True)
class Artifact:
    """A verified artifact: everything in it is what was written.

    Attributes:
        files: the bytes of each of :data:`FILES`, the very ones that were verified; without those
            of :data:`ADDED_LATER` that it was not written with.
    """

    folder: Path
    manifest: Manifest
    schema: Schema
    files: Mapping[str, bytes]


def write_artifact(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Artifact:
    """Write an artifact beside its place and rename it into it: it is there whole or not at all.

    Raises:
        FileExistsError: the folder is taken.
    """
    if not set(FILES) - OPTIONAL <= set(files) <= set(FILES):
        raise ValueError(f"expected the files {', '.join(FILES)}; received {', '.join(files)}")
    records = {
        name: FileRecord(hashlib.sha256(data).hexdigest(), len(data))
        for name, data in files.items()
    }
    manifest = with_checksum(msgspec.structs.replace(manifest, files=records))
    beside = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=folder.parent))
    try:
        for name, data in files.items():
            _write_synced(beside / name, data)
        _write_synced(beside / MANIFEST_FILE, encode_manifest(manifest))
        beside.chmod(0o755)
        if folder.exists():
            raise FileExistsError(folder)
        beside.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return read_artifact(folder)


def read_artifact(folder: Path, *, fingerprint: str | None = None) -> Artifact:
    """Verify an artifact and read it.

    Args:
        fingerprint: the schema that the caller works with, if it has one of its own.

    Raises:
        ArtifactIncomplete, ArtifactDamaged, ArtifactTooNew, SchemaMismatch: each with the version
            and the file that it is about.
    """
    where = f"version {folder.name}"
    manifest = decode_manifest(_read_file(folder / MANIFEST_FILE, where), where)
    files = {}
    for name in FILES:
        if name in ADDED_LATER and name not in manifest.files and not (folder / name).exists():
            continue
        record, data = manifest.files.get(name), _read_file(folder / name, where)
        if record is None:
            raise ArtifactDamaged(f"{where}: the manifest knows no {name}")
        if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
            raise ArtifactDamaged(f"{where}: {name} is not the file that was written")
        files[name] = data
    for name in ATTACHMENTS:
        if name in manifest.files:
            _verify_file(folder / name, manifest.files[name], where)
    try:
        schema = Schema.from_json(files["schema.json"])
    except InvalidSchema as error:
        raise SchemaMismatch(f"{where}: schema.json is {error}") from None
    if schema.fingerprint != manifest.schema_fingerprint:
        raise SchemaMismatch(f"{where}: schema.json is not the schema that it was trained on")
    if fingerprint is not None and fingerprint != schema.fingerprint:
        raise SchemaMismatch(f"{where}: it was trained on another schema than the one in use")
    return Artifact(folder, manifest, schema, files)


def add_metrics(artifact: Artifact, metrics: Mapping[str, Any]) -> Artifact:
    """Add results of an evaluation to the manifest, replacing those of the same name."""
    merged = {**artifact.manifest.metrics, **metrics}
    manifest = with_checksum(msgspec.structs.replace(artifact.manifest, metrics=merged))
    replace_file(artifact.folder / MANIFEST_FILE, encode_manifest(manifest))
    return read_artifact(artifact.folder)


def add_attachment(artifact: Artifact, name: str, data: bytes) -> Artifact:
    """Add one of :data:`ATTACHMENTS` to an artifact that has none of that name yet.

    The manifest comes last: until it names the file, nobody looks at it.

    Raises:
        FileExistsError: it has one.
    """
    if name not in ATTACHMENTS:
        raise ValueError(f"expected one of {', '.join(ATTACHMENTS)}; received {name}")
    if name in artifact.manifest.files:
        raise FileExistsError(artifact.folder / name)
    replace_file(artifact.folder / name, data)
    record = FileRecord(hashlib.sha256(data).hexdigest(), len(data))
    files = {**artifact.manifest.files, name: record}
    manifest = with_checksum(msgspec.structs.replace(artifact.manifest, files=files))
    replace_file(artifact.folder / MANIFEST_FILE, encode_manifest(manifest))
    return read_artifact(artifact.folder)


def _verify_file(path: Path, record: FileRecord, where: str) -> None:
    """Compare a file with its record, piece by piece."""
    with _translate_os_errors(path, where), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != record.sha256:
        raise ArtifactDamaged(f"{where}: {path.name} is not the file that was written")


def _read_file(path: Path, where: str) -> bytes:
    with _translate_os_errors(path, where):
        return path.read_bytes()


@contextmanager
def _translate_os_errors(path: Path, where: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ArtifactIncomplete(f"{where}: {path.name} is missing") from None
    except OSError as error:
        raise ArtifactDamaged(f"{where}: {path.name} cannot be read: {error.strerror}") from None
