"""Fit one network, and show what is happening."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from model.config import TrainingConfig
from model.network import build_network, save_weights

History = dict[str, list[float]]


@dataclass(frozen=True)
class Fit:
    """A fitted network and how it came about.

    Attributes:
        history: one list an epoch quantity (``loss``, ``accuracy``, ``val_loss``, …), each as long
            as there were epochs. The loss holds the L2 term, the validation loss too.
    """

    network: keras.Model
    history: History

    def weights(self) -> bytes:
        """The network's weights as Keras saves them: HDF5, numbers only."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.weights.h5"
            save_weights(self.network, path)
            return path.read_bytes()


def fit_network(
    features: np.ndarray,
    labels: np.ndarray,
    config: TrainingConfig,
    *,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    progress: bool = False,
) -> Fit:
    """Fit a network; on the CPU the same seed gives the same weights.

    Sets the global seeds of Python, NumPy and the Keras backend, from which Keras takes the order
    of the rows.

    Args:
        features: (n, n_features), standardised and one-hot, without NaN.
        labels: (n,) of 0 and 1.
        validation: features and labels that are only looked at, after every epoch.
        progress: show a bar on stderr; nothing is shown where that is no terminal.
    """
    keras.utils.set_random_seed(config.seed)
    network = build_network(config, features.shape[1])
    history = network.fit(
        *_as_arrays(features, labels),
        validation_data=_as_arrays(*validation) if validation else None,
        batch_size=config.batch_size,
        epochs=config.epochs,
        verbose=0,
        callbacks=[EpochBar(config.epochs)] if progress else [],
    ).history
    return Fit(network, {name: [float(v) for v in values] for name, values in history.items()})


def _as_arrays(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(features, dtype=np.float32), np.asarray(labels, np.float32).reshape(-1, 1)


def predict(network: keras.Model, features: np.ndarray) -> np.ndarray:
    """float64 (n,): the network's probabilities, in one call without Keras's batch machinery."""
    output = network(np.asarray(features, dtype=np.float32), training=False)
    return keras.ops.convert_to_numpy(output)[:, 0].astype(np.float64)


class EpochBar(keras.callbacks.Callback):
    """A bar with the epoch, the losses and metrics, and the time left; quiet off a terminal."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.bar: tqdm[Any] = tqdm(
            total=epochs, desc="training", unit="epoch", disable=None, file=sys.stderr
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar on, and show what Keras knows after this epoch."""
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in (logs or {}).items()})
        self.bar.update()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Leave the full bar on the screen."""
        self.bar.close()
