"""Artifacts: the checksummed files of a model version, without pickle, and the store of versions.

artifact      writing, verifying and reading an artifact
manifest      the description of a version and the checksums of its files
golden_rows   records with known answers, which verify an artifact when it is loaded
store         the versions of a model, the current one, promotion and rollback
atomic_files  atomic replacement of files, synced to disk
"""

from model.artifacts.artifact import MANIFEST_FILE, Artifact, decode_file
from model.artifacts.atomic_files import replace_file
from model.artifacts.golden_rows import (
    INTERVAL_TOLERANCE,
    LOG_ODDS_TOLERANCE,
    PROBABILITY_TOLERANCE,
    GoldenRows,
    golden_values,
    max_difference,
)
from model.artifacts.manifest import (
    FORMAT_VERSION,
    DataRecord,
    Manifest,
    TrainingRange,
    decode_manifest,
)
from model.artifacts.store import CURRENT_FILE, Store

__all__ = [
    "CURRENT_FILE",
    "FORMAT_VERSION",
    "INTERVAL_TOLERANCE",
    "LOG_ODDS_TOLERANCE",
    "MANIFEST_FILE",
    "PROBABILITY_TOLERANCE",
    "Artifact",
    "DataRecord",
    "GoldenRows",
    "Manifest",
    "Store",
    "TrainingRange",
    "decode_file",
    "decode_manifest",
    "golden_values",
    "max_difference",
    "replace_file",
]
