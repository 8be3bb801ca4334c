"""A Keras network, rebuilt from saved choices and weights."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import msgspec

from model.artifact import Artifact
from model.calibrators import Calibration
from model.config import TrainingConfig
from model.encoding import Encoding
from model.errors import ArtifactDamaged
from model.network import load_network


def rebuild(files: Mapping[str, bytes]) -> tuple[Encoding, keras.Model]:
    """The fitted preprocessing and the network that an artifact's files hold.

    Args:
        files: at least ``encoding.json``, ``network.json`` and ``network.weights.h5``; and
            ``calibration.json``, unless they were written before there were calibrations.
    """
    encoding = msgspec.json.decode(files["encoding.json"], type=Encoding)
    config = msgspec.json.decode(files["network.json"], type=TrainingConfig)
    calibration = msgspec.json.decode(files.get("calibration.json", b"{}"), type=Calibration)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.weights.h5"
        weights.write_bytes(files["network.weights.h5"])
        return encoding, load_network(config, len(encoding.features), weights, calibration.layers())


def load_network_of(artifact: Artifact) -> keras.Model:
    """The Keras network of an artifact: features → probability.

    Raises:
        ArtifactDamaged: its choices or its weights do not make a network.
    """
    try:
        return rebuild(artifact.files)[1]
    except (msgspec.DecodeError, ValueError, OSError) as error:
        where = f"version {artifact.folder.name}"
        reason = f"its network cannot be rebuilt ({type(error).__name__})"
        raise ArtifactDamaged(f"{where}: {reason}") from error
