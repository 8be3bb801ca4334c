"""An artifact's Keras network, rebuilt from its saved choices and weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import msgspec

from model.artifact import Artifact
from model.config import TrainingConfig
from model.encoding import Encoding
from model.errors import ArtifactDamaged
from model.graph import join
from model.network import load_network


def load_network_of(artifact: Artifact) -> keras.Model:
    """The Keras network of an artifact: features → probability.

    Raises:
        ArtifactDamaged: its choices or its weights do not make a network.
    """
    where = f"version {artifact.folder.name}"
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.weights.h5"
        weights.write_bytes(artifact.files["network.weights.h5"])
        try:
            config = msgspec.json.decode(artifact.files["network.json"], type=TrainingConfig)
            return load_network(config, len(artifact.schema.feature_names), weights)
        except (msgspec.DecodeError, ValueError, OSError) as error:
            reason = f"its network cannot be rebuilt ({type(error).__name__})"
            raise ArtifactDamaged(f"{where}: {reason}") from error


def load_whole_of(artifact: Artifact) -> keras.Model:
    """The saved preprocessing and network as one Keras model: values → probability."""
    encoding = msgspec.json.decode(artifact.files["encoding.json"], type=Encoding)
    return join(encoding, load_network_of(artifact))
