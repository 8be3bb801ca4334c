"""Fitting one network with Keras, with a progress bar."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from model.training.config import TrainingConfig, learning_rates
from model.training.keras_network import PROBABILITY_HEAD, Head, build_network, save_weights
from model.training.shuffling import EpochShuffler

History = dict[str, list[float]]


@dataclass(frozen=True)
class FitResult:
    """A fitted network and its training history.

    Attributes:
        network: the fitted network.
        history: per quantity (``loss``, ``accuracy``, ``val_loss``, …) one value per completed
            epoch. Loss and validation loss include the L2 penalty.
        n_epochs: number of epochs after which the network had these weights. With early stopping
            this is the best epoch, not the last one.
    """

    network: keras.Model
    history: History
    n_epochs: int

    def weights(self) -> bytes:
        """Return the network's weights in Keras's HDF5 format, which holds only numbers."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.weights.h5"
            save_weights(self.network, path)
            return path.read_bytes()


def fit_network(
    features: np.ndarray,
    labels: np.ndarray,
    config: TrainingConfig,
    *,
    head: Head = PROBABILITY_HEAD,
    weights: np.ndarray | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    progress: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FitResult:
    """Fit one network. On the CPU the same seed gives the same weights.

    Initial weights and the order of the rows depend on the config's seeds alone and are the same on
    every backend. Dropout may draw from the global generators of Python, NumPy and the Keras
    backend, so their seeds are set as well.

    Args:
        features: (n, n_features), standardised and one-hot encoded, without NaN.
        labels: (n,) of 0 and 1 for one probability; (n, n_classes) of 0 and 1 for several classes;
            (n,) numbers for a linear head.
        config: architecture and training settings.
        head: the output layer.
        weights: (n,), weight of each row in the loss; 1 if None.
        validation: features and labels of held-out rows, evaluated after every epoch.
        progress: show a progress bar on stderr if that is a terminal.
        callbacks: additional Keras callbacks.

    Returns:
        The fitted network; with early stopping, the network with its best weights.

    Raises:
        InvalidConfig: the loss does not fit the head.
    """
    keras.utils.set_random_seed(config.seed)
    network = build_network(config, features.shape[1], head)
    batches = ShuffledBatches(*_as_arrays(features, labels), config, weights)
    own_callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=batches.shuffle)]
    if config.schedule != "constant":
        rates = learning_rates(config).tolist()
        own_callbacks.append(keras.callbacks.LearningRateScheduler(lambda epoch: rates[epoch]))
    if config.patience:
        own_callbacks.append(
            keras.callbacks.EarlyStopping(patience=config.patience, restore_best_weights=True)
        )
    if progress:
        own_callbacks.append(EpochProgressBar(config.epochs))
    history = network.fit(
        batches,
        validation_data=_as_arrays(*validation) if validation else None,
        epochs=config.epochs,
        verbose=0,
        shuffle=False,  # ShuffledBatches shuffles
        callbacks=[*own_callbacks, *callbacks],
    ).history
    history.pop("learning_rate", None)
    n_epochs = len(history["loss"])
    if config.patience:
        n_epochs = 1 + int(np.argmin(history["val_loss"]))
    as_floats = {name: [float(v) for v in values] for name, values in history.items()}
    return FitResult(network, as_floats, n_epochs)


class ShuffledBatches(keras.utils.PyDataset):
    """Batches of features, labels and weights, in an order that depends on the seed alone."""

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        config: TrainingConfig,
        weights: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self._features, self._labels = features, labels
        class_weights = np.where(labels[:, 0] == 1, config.positive_class_weight, 1)
        row_weights = class_weights if weights is None else class_weights * weights
        self._weights = row_weights.astype(features.dtype)
        n_rows = len(features)
        self._batch_size = n_rows if config.batch_size == "all" else min(config.batch_size, n_rows)
        self._shuffler = EpochShuffler(n_rows, seed=config.shuffle_seed)
        self._order = np.arange(n_rows)  # Keras requests a batch before the first epoch begins

    def __len__(self) -> int:
        return math.ceil(len(self._features) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        return self._features[rows], self._labels[rows], self._weights[rows]

    def shuffle(self, epoch: int, logs: Any = None) -> None:
        """Draw the order of the next epoch.

        A callback calls this instead of Keras's own epoch hooks, because on some backends Keras
        begins and ends epochs of the dataset before the first epoch of training.
        """
        self._order = self._shuffler.next()[0]


def _as_arrays(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dtype = keras.config.floatx()
    return np.asarray(features, dtype), np.asarray(labels, dtype).reshape(len(labels), -1)


def predict(network: keras.Model, features: np.ndarray) -> np.ndarray:
    """Return the network's outputs for all rows in one call, without Keras's batching.

    Args:
        network: a network with one output.
        features: (n, n_features).

    Returns:
        float64 (n,): probabilities, or numbers where the network has a linear head.
    """
    output = network(np.asarray(features, dtype=np.float32), training=False)
    return keras.ops.convert_to_numpy(output)[:, 0].astype(np.float64)


class EpochProgressBar(keras.callbacks.Callback):
    """A progress bar with losses, metrics and the remaining time; silent without a terminal."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.bar: tqdm[Any] = tqdm(
            total=epochs, desc="training", unit="epoch", disable=None, file=sys.stderr
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Advance the bar and show the losses and metrics of the epoch."""
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in (logs or {}).items()})
        self.bar.update()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the bar; its last state stays on the screen."""
        self.bar.close()
