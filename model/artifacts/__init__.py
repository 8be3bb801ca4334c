"""Artifacts: files of a model version, checksummed, without pickle, and the store of versions.

artifact      write, verify, read
manifest      what a version is and how it was trained
golden_rows   rows with which an artifact is verified on load
store         versions, the current one, promotion and rollback
atomic_files  files replaced atomically and synced
"""

from model.artifacts.artifact import MANIFEST_FILE, Artifact
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
    "decode_manifest",
    "golden_values",
    "max_difference",
    "replace_file",
]
