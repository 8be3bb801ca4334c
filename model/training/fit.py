"""Fit one network, and show what is happening."""

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
    """A fitted network and how it came about.

    Attributes:
        history: one list an epoch quantity (``loss``, ``accuracy``, ``val_loss``, …), each as long
            as there were epochs. The loss holds the L2 term, the validation loss too.
        n_epochs: after how many epochs the weights are these; early stopping goes back to the best.
    """

    network: keras.Model
    history: History
    n_epochs: int

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
    head: Head = PROBABILITY_HEAD,
    weights: np.ndarray | None = None,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    progress: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FitResult:
    """Fit a network; on the CPU the same seed gives the same weights.

    Sets the global seeds of Python, NumPy and the Keras backend, from which dropout may draw. First
    weights and the order of the rows come from the seed alone, the same on every backend.

    Args:
        features: (n, n_features), standardised and one-hot, without NaN.
        labels: (n,) of 0 and 1; (n, n_classes) of 0 and 1, or (n,) of numbers, for such a head.
        head: what the network gives.
        weights: (n,), how much every row counts in the loss; 1 if None.
        validation: features and labels that are only looked at, after every epoch.
        progress: show a bar on stderr; nothing is shown where that is no terminal.
        callbacks: of Keras, besides.
    """
    keras.utils.set_random_seed(config.seed)
    network = build_network(config, features.shape[1], head)
    batches = ShuffledBatches(*_as_arrays(features, labels), config, weights)
    watchers = [keras.callbacks.LambdaCallback(on_epoch_begin=batches.shuffle)]
    if config.schedule != "constant":
        rates = learning_rates(config).tolist()
        watchers.append(keras.callbacks.LearningRateScheduler(lambda epoch: rates[epoch]))
    if config.patience:
        watchers.append(
            keras.callbacks.EarlyStopping(patience=config.patience, restore_best_weights=True)
        )
    if progress:
        watchers.append(EpochProgressBar(config.epochs))
    history = network.fit(
        batches,
        validation_data=_as_arrays(*validation) if validation else None,
        epochs=config.epochs,
        verbose=0,
        shuffle=False,  # the batches come in an order of their own
        callbacks=[*watchers, *callbacks],
    ).history
    history.pop("learning_rate", None)
    n_epochs = len(history["loss"])
    if config.patience:
        n_epochs = 1 + int(np.argmin(history["val_loss"]))
    found = {name: [float(v) for v in values] for name, values in history.items()}
    return FitResult(network, found, n_epochs)


class ShuffledBatches(keras.utils.PyDataset):
    """Features, labels and weights of the rows, in an order that the seed alone determines."""

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        config: TrainingConfig,
        weights: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self._features, self._labels = features, labels
        costs = np.where(labels[:, 0] == 1, config.positive_class_weight, 1)
        self._weights = (costs if weights is None else costs * weights).astype(features.dtype)
        n_rows = len(features)
        self._size = n_rows if config.batch_size == "all" else min(config.batch_size, n_rows)
        self._orders = EpochShuffler(n_rows, seed=config.shuffle_seed)
        self._order = np.arange(n_rows)  # Keras looks at a batch before the first epoch

    def __len__(self) -> int:
        return math.ceil(len(self._features) / self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self._order[index * self._size : (index + 1) * self._size]
        return self._features[rows], self._labels[rows], self._weights[rows]

    def shuffle(self, epoch: int, logs: Any = None) -> None:
        """Take the order of the next epoch.

        Called by a callback: Keras begins and ends epochs of its own before the first, on some
        backends.
        """
        self._order = self._orders.next()[0]


def _as_arrays(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    dtype = keras.config.floatx()
    return np.asarray(features, dtype), np.asarray(labels, dtype).reshape(len(labels), -1)


def predict(network: keras.Model, features: np.ndarray) -> np.ndarray:
    """float64 (n,): the network's probabilities, in one call without Keras's batch machinery."""
    output = network(np.asarray(features, dtype=np.float32), training=False)
    return keras.ops.convert_to_numpy(output)[:, 0].astype(np.float64)


class EpochProgressBar(keras.callbacks.Callback):
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
