"""Writing, verifying and reading an artifact.

An artifact is a folder of JSON, Keras weights and ONNX, without pickle. Its manifest contains a
checksum of every file and of itself. All files are verified before anything is built from them, and
reading an artifact imports no code that it names.

    manifest.json           description of the version, and checksums
    schema.json             the schema used in training
    encoding.json           the fitted preprocessing
    network.json            the configuration of the network and its training
    network.weights.h5      the Keras weights
    calibration.json        the calibration of the log-odds, already part of the weights
    model.onnx              the graph that serves: values → probability
    golden.json             records made from the schema, and the graph's probabilities
    explanation.json        the weights of the layers, and the background sample: training rows of
                            a published file, otherwise synthetic rows
    inputs.json             mean and covariance of the encoded training rows, used to impute
                            missing values, and the resulting probabilities of the golden rows
    members.json            networks trained on bootstrap samples, used for intervals
    history.json            loss and metrics of every epoch
    report.html             the report for people; added after the other files
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

from model.artifacts.atomic_files import replace_file, sync_folder, write_synced
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
"""Files that artifacts of earlier releases do not have."""
OPTIONAL = frozenset({"explanation.json", "members.json"})
"""Files without which a version serves, but explains nothing and gives no intervals."""
ATTACHMENTS = ("report.html",)
"""Files for people: verified on disk and never kept in memory."""


@dataclass(frozen=True)
class Artifact:
    """A verified artifact.

    Attributes:
        files: the verified bytes of each of :data:`FILES`, without those of :data:`ADDED_LATER`
            that were not written.
    """

    folder: Path
    manifest: Manifest
    schema: Schema
    files: Mapping[str, bytes]


def write_artifact(folder: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Artifact:
    """Write an artifact to a temporary folder and rename it, so that it is never incomplete.

    Raises:
        FileExistsError: the folder already exists.
        ValueError: a required file is absent, or a file is not one of :data:`FILES`.
    """
    if not set(FILES) - OPTIONAL <= set(files) <= set(FILES):
        raise ValueError(f"expected the files {', '.join(FILES)}; received {', '.join(files)}")
    records = {
        name: FileRecord(hashlib.sha256(data).hexdigest(), len(data))
        for name, data in files.items()
    }
    manifest = with_checksum(msgspec.structs.replace(manifest, files=records))
    temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=folder.parent))
    try:
        for name, data in files.items():
            write_synced(temporary / name, data)
        write_synced(temporary / MANIFEST_FILE, encode_manifest(manifest))
        temporary.chmod(0o755)
        if folder.exists():
            raise FileExistsError(folder)
        temporary.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return read_artifact(folder)


def read_artifact(folder: Path, *, fingerprint: str | None = None) -> Artifact:
    """Verify and read an artifact.

    Args:
        fingerprint: the required fingerprint of the schema; None accepts any schema.

    Raises:
        ArtifactIncomplete, ArtifactDamaged, ArtifactTooNew, SchemaMismatch: the message names the
            version and the file.
    """
    where = f"version {folder.name}"
    manifest = decode_manifest(_read_file(folder / MANIFEST_FILE, where), where)
    files = {}
    for name in FILES:
        if name in ADDED_LATER and name not in manifest.files and not (folder / name).exists():
            continue
        record, data = manifest.files.get(name), _read_file(folder / name, where)
        if record is None:
            raise ArtifactDamaged(f"{where}: {name} is not listed in the manifest")
        if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
            raise ArtifactDamaged(f"{where}: {name} does not match its checksum")
        files[name] = data
    for name in ATTACHMENTS:
        if name in manifest.files:
            _verify_file(folder / name, manifest.files[name], where)
    try:
        schema = Schema.from_json(files["schema.json"])
    except InvalidSchema as error:
        raise SchemaMismatch(f"{where}: schema.json is {error}") from None
    if schema.fingerprint != manifest.schema_fingerprint:
        raise SchemaMismatch(f"{where}: schema.json is not the schema used in training")
    if fingerprint is not None and fingerprint != schema.fingerprint:
        raise SchemaMismatch(f"{where}: it was trained with a different schema from the one in use")
    return Artifact(folder, manifest, schema, files)


def add_metrics(artifact: Artifact, metrics: Mapping[str, Any]) -> Artifact:
    """Add evaluation results to the manifest; results of the same name are replaced."""
    merged = {**artifact.manifest.metrics, **metrics}
    manifest = with_checksum(msgspec.structs.replace(artifact.manifest, metrics=merged))
    replace_file(artifact.folder / MANIFEST_FILE, encode_manifest(manifest))
    return read_artifact(artifact.folder)


def add_attachment(artifact: Artifact, name: str, data: bytes) -> Artifact:
    """Add one of :data:`ATTACHMENTS` to an artifact that does not have it yet.

    The manifest is written last. Readers ignore the file until the manifest lists it.

    Raises:
        FileExistsError: the artifact already has the attachment.
        ValueError: the name is not one of :data:`ATTACHMENTS`.
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
    """Compare a file with its checksum, without reading it into memory at once."""
    with _translate_os_errors(path, where), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != record.sha256:
        raise ArtifactDamaged(f"{where}: {path.name} does not match its checksum")


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
