"""The manifest of an artifact: what it is, how it came about, and what every file must be."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from model.errors import ArtifactDamaged, ArtifactTooNew

FORMAT_VERSION = 2
"""Raise it with every change that an older release could not read, and keep reading the old."""


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file must be: ``sha256`` in hexadecimal, and its size in bytes."""

    sha256: str
    bytes: int


class DataRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table that was trained on, without a single patient."""

    file: str
    sha256: str
    rows: int
    positives: int
    warnings: tuple[str, ...] = ()


class TrainingRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What training saw of a column: a range, or the codes of levels; and how many were missing."""

    minimum: float | None = None
    maximum: float | None = None
    codes: tuple[int, ...] | None = None
    missing: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an artifact is and how it came about.

    Attributes:
        created: UTC, ISO 8601.
        threshold: a probability at or above it gets the positive label.
        cost_ratio: what a missed patient costs, in false alarms, from which the threshold follows;
            absent where nobody stated it.
        ranges: by column, what training saw.
        metrics: results of evaluations, by name; may be added to later.
        parity: greatest difference between the pipeline with the Keras network and the graph.
        command: the command line that made it.
        files: by name, what each file must be.
        checksum: sha256 of the manifest itself with this field empty.
    """

    format_version: int
    name: str
    version: str
    created: str
    schema_fingerprint: str
    threshold: float
    data: DataRecord
    recipe: str
    training: dict[str, Any]
    ranges: dict[str, TrainingRange]
    metrics: dict[str, Any]
    parity: float
    device: str
    libraries: dict[str, str]
    command: str
    # Absent rather than null: a manifest of the first format keeps its bytes, and its checksum.
    cost_ratio: float | msgspec.UnsetType = msgspec.UNSET
    files: dict[str, FileRecord] = {}
    checksum: str = ""


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as JSON with sorted keys, as an artifact holds it."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)


def with_checksum(manifest: Manifest) -> Manifest:
    """The manifest with its own checksum."""
    unsealed = msgspec.structs.replace(manifest, checksum="")
    digest = hashlib.sha256(encode_manifest(unsealed)).hexdigest()
    return msgspec.structs.replace(unsealed, checksum=digest)


def decode_manifest(data: bytes, where: str) -> Manifest:
    """Read and verify a manifest.

    Args:
        where: what it belongs to, for the messages.

    Raises:
        ArtifactTooNew: written in a later format; said before anything else is looked at.
        ArtifactDamaged: not a manifest, or not the one that was written.
    """
    try:
        content = msgspec.json.decode(data, type=dict[str, Any])
        written = content.get("format_version")
        if isinstance(written, int) and written > FORMAT_VERSION:
            raise ArtifactTooNew(
                f"{where}: written in format {written}, and this release reads up to "
                f"{FORMAT_VERSION}; upgrade the service, or roll back"
            )
        manifest = msgspec.convert(content, Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ArtifactDamaged(f"{where}: manifest.json is not a manifest") from None
    if with_checksum(manifest).checksum != manifest.checksum:
        raise ArtifactDamaged(f"{where}: manifest.json is not the file that was written")
    return manifest
