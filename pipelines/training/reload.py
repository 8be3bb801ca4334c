"""The Keras network of a saved version, rebuilt from the artifact's files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import msgspec

from model.artifacts import Artifact
from model.calibration import Calibration
from model.errors import ArtifactDamaged
from model.features import Encoding
from model.training import TrainingConfig, load_network


def rebuild_network(files: Mapping[str, bytes]) -> tuple[Encoding, keras.Model]:
    """Rebuild the fitted preprocessing and the Keras network from an artifact's files.

    Args:
        files: at least ``encoding.json``, ``network.json`` and ``network.weights.h5``; without
            ``calibration.json``, the network has no calibration.
    """
    encoding = msgspec.json.decode(files["encoding.json"], type=Encoding)
    config = msgspec.json.decode(files["network.json"], type=TrainingConfig)
    calibration = msgspec.json.decode(files.get("calibration.json", b"{}"), type=Calibration)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.weights.h5"
        weights.write_bytes(files["network.weights.h5"])
        return encoding, load_network(config, len(encoding.features), weights, calibration.layers())


def load_keras_network(artifact: Artifact) -> keras.Model:
    """Return the Keras network of an artifact, which maps features to a probability.

    Raises:
        ArtifactDamaged: the configuration and the weights do not fit together.
    """
    try:
        return rebuild_network(artifact.files)[1]
    except (msgspec.DecodeError, ValueError, OSError) as error:
        raise ArtifactDamaged(
            f"version {artifact.folder.name}: the network cannot be rebuilt "
            f"({type(error).__name__})"
        ) from error
