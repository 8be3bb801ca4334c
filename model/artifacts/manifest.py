"""The manifest of an artifact: its description and the checksums of its files."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from model.errors import ArtifactDamaged, UnsupportedFormat

T = TypeVar("T")

FORMAT_VERSION = 3
"""Increase it with every change after which a release cannot read what another one wrote."""


class FileRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The checksum of a file, ``sha256`` in hexadecimal, and its size in bytes."""

    sha256: str
    bytes: int


class DataRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A description of the training table, without any of its rows."""

    file: str
    sha256: str
    rows: int
    positives: int
    warnings: tuple[str, ...] = ()


class TrainingRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The range or the codes of a column in training, and its number of missing values."""

    minimum: float | None = None
    maximum: float | None = None
    codes: tuple[int, ...] | None = None
    missing: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The description of an artifact.

    Attributes:
        created: time of creation in UTC, ISO 8601.
        threshold: a probability at or above it gets the positive label.
        cost_ratio: the cost of a missed patient in false alarms, which determines the threshold;
            None if it was not given.
        ranges: the training range of each column.
        metrics: results of evaluations, by name; more can be added later.
        parity: largest difference between the probabilities of the graph and those of the pipeline
            with the Keras network.
        command: the command line that created it.
        files: the checksum and size of each file.
        checksum: sha256 of the manifest with this field empty.
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
    cost_ratio: float | None = None
    files: dict[str, FileRecord] = {}
    checksum: str = ""

    def decode_metrics(self, name: str, metrics_type: type[T]) -> T:
        """Return the results of one evaluation.

        Raises:
            ArtifactDamaged: there are none of this name, or they are not of this type.
        """
        try:
            return msgspec.convert(self.metrics[name], metrics_type)
        except (KeyError, msgspec.ValidationError) as error:
            raise ArtifactDamaged(
                f"version {self.version}: the metrics {name!r} of manifest.json cannot be read "
                f"({type(error).__name__})"
            ) from error


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest as JSON with sorted keys, as stored in an artifact."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)


def with_checksum(manifest: Manifest) -> Manifest:
    """Return a copy of the manifest with its checksum."""
    unsigned = msgspec.structs.replace(manifest, checksum="")
    digest = hashlib.sha256(encode_manifest(unsigned)).hexdigest()
    return msgspec.structs.replace(unsigned, checksum=digest)


def decode_manifest(data: bytes, where: str) -> Manifest:
    """Decode and verify a manifest.

    Args:
        where: the name of the artifact, for error messages.

    Raises:
        UnsupportedFormat: the manifest has another format; this is checked first.
        ArtifactDamaged: the data is not a manifest or does not match its checksum.
    """
    try:
        content = msgspec.json.decode(data, type=dict[str, Any])
        format_version = content.get("format_version")
        if isinstance(format_version, int) and format_version != FORMAT_VERSION:
            raise UnsupportedFormat(
                f"{where}: it has format {format_version}, but this release reads format "
                f"{FORMAT_VERSION}; use the release that wrote it, or train a new version"
            )
        manifest = msgspec.convert(content, Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ArtifactDamaged(f"{where}: manifest.json is not a manifest") from None
    if with_checksum(manifest).checksum != manifest.checksum:
        raise ArtifactDamaged(f"{where}: manifest.json does not match its checksum")
    return manifest
