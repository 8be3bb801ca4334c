"""The members of an ensemble: specifications, fitted results, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from model.training.config import TrainingConfig
from model.training.ensemble.forward import ProgramSpec, forward_pass
from model.training.keras_network import Head, build_network

PREDICTION_CELLS_PER_BLOCK = 20_000_000
"""Maximum size of the first hidden layer's outputs in one step of prediction."""


@dataclass(frozen=True)
class MemberSpec:
    """The specification of one network of an ensemble.

    Members with the same rows, table, validation rows and shuffle seed share their batches, which
    makes training fastest.

    Attributes:
        config: architecture and training settings.
        rows: indices of the training rows; all rows if None.
        weights: (n,), weight of each row of the table in the loss, such as its count in a bootstrap
            sample; 1 if None.
        validation_rows: indices of the held-out rows; required if the config has patience.
        table: index of the feature table, for folds with their own preprocessing.
    """

    config: TrainingConfig
    rows: np.ndarray | None = None
    weights: np.ndarray | None = None
    validation_rows: np.ndarray | None = None
    table: int = 0


@dataclass(frozen=True)
class ProgramResult:
    """The fitted members of one program, in its grid of G groups with m members each.

    Attributes:
        spec: the static settings of the program.
        member_indices: (G, m), the members' indices in the ensemble; -1 for padding.
        tables: (G,), index of each group's feature table.
        weights: kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m); members
            with fewer units than others are padded with zeros.
        units: per hidden layer (G, 1, units, m), 1 for units that a member has and 0 for padding;
            empty if all members have all units.
        losses: (epochs, G, m), mean training loss; NaN after a member's last epoch.
        validation_losses: (epochs, G, m), mean validation loss; NaN after a member's last epoch,
            and for members without validation rows.
        best_epochs: (G, m), number of epochs after which the members had these weights.
    """

    spec: ProgramSpec
    member_indices: np.ndarray
    tables: np.ndarray
    weights: Sequence[np.ndarray]
    units: Sequence[np.ndarray]
    losses: np.ndarray
    validation_losses: np.ndarray
    best_epochs: np.ndarray

    def outputs(self, tables: np.ndarray) -> np.ndarray:
        """Return the outputs before the last activation.

        **Shape**: (n_tables, n, n_features) → (G, n, n_outputs, m).
        """
        groups, _, width, members = self.weights[0].shape
        block_size = max(1, PREDICTION_CELLS_PER_BLOCK // (groups * width * members))
        blocks = []
        for start in range(0, tables.shape[1], block_size):
            features = tables[self.tables, start : start + block_size]
            arrays = (self.weights, features.astype(self.weights[0].dtype), self.units)
            tensors = keras.tree.map_structure(keras.ops.convert_to_tensor, arrays)
            blocks.append(keras.ops.convert_to_numpy(forward_pass(self.spec, *tensors)))
        return np.concatenate(blocks, axis=1)


@dataclass(frozen=True)
class Ensemble:
    """Fitted networks, in the order of their specifications.

    M is the number of members.

    Attributes:
        members: the specifications.
        head: the output layer.
        results: the fitted members by program.
    """

    members: Sequence[MemberSpec]
    head: Head
    results: Sequence[ProgramResult]

    def __len__(self) -> int:
        return len(self.members)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the predictions of all members for all rows.

        Args:
            features: (n, n_features); or (n_tables, n, n_features), where each member uses its own
                table.

        Returns:
            float64 (M, n): probabilities, or scores or numbers, depending on loss and head;
            (M, n, n_outputs) if the head has several units.
        """
        outputs = keras.ops.convert_to_tensor(self.outputs(features))
        activated = keras.activations.get(self.head.activation)(outputs)
        predictions = keras.ops.convert_to_numpy(activated).astype(np.float64)
        return predictions[:, :, 0] if self.head.units == 1 else predictions

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """Return the outputs before the last activation, such as log-odds for a sigmoid.

        Args:
            features: as :meth:`predict` takes them.

        Returns:
            (M, n, n_outputs).
        """
        tables = features if features.ndim == 3 else features[None]
        shape = len(self), tables.shape[1], self.head.units
        outputs = np.empty(shape, keras.config.floatx())
        for result in self.results:
            is_member = result.member_indices >= 0
            by_member = np.moveaxis(result.outputs(tables), 3, 1)
            outputs[result.member_indices[is_member]] = by_member[is_member]
        return outputs

    def losses(self) -> np.ndarray:
        """Return the mean training loss of each epoch, with the L2 penalty.

        Returns:
            (epochs, M), NaN after a member's last epoch.
        """
        return self._scatter_by_member([result.losses for result in self.results])

    def validation_losses(self) -> np.ndarray:
        """Return the mean loss of the held-out rows after each epoch, with the L2 penalty.

        Returns:
            (epochs, M), NaN after a member's last epoch and for members without held-out rows.
        """
        return self._scatter_by_member([result.validation_losses for result in self.results])

    def best_epochs(self) -> np.ndarray:
        """Return the number of epochs after which each member had its weights: int (M,)."""
        by_program = [result.best_epochs[None] for result in self.results]
        return self._scatter_by_member(by_program)[0].astype(int)

    def weights(self, number: int) -> list[np.ndarray]:
        """Return the weights of one member, as Keras's ``set_weights`` takes them.

        Args:
            number: index of the member.

        Returns:
            Kernel, bias, kernel, bias, …, without padding.
        """
        result = next(result for result in self.results if number in result.member_indices)
        group, column = np.argwhere(result.member_indices == number)[0]
        widths = [*self.members[number].config.hidden, self.head.units]
        weights, n_inputs = [], result.weights[0].shape[1]
        for layer, n_units in enumerate(widths):
            kernel, bias = result.weights[2 * layer : 2 * layer + 2]
            weights += [kernel[group, :n_inputs, :n_units, column], bias[group, :n_units, column]]
            n_inputs = n_units
        return weights

    def network(self, number: int) -> keras.Model:
        """Return one member as a Keras network."""
        weights = self.weights(number)
        network = build_network(self.members[number].config, weights[0].shape[0], self.head)
        network.set_weights(weights)
        return network

    def _scatter_by_member(self, by_program: Sequence[np.ndarray]) -> np.ndarray:
        """Reorder (epochs, G, m) arrays of the programs as one (epochs, M) array, padded by NaN."""
        by_member = np.full((max(map(len, by_program)), len(self)), np.nan)
        for result, values in zip(self.results, by_program, strict=True):
            is_member = result.member_indices >= 0
            by_member[: len(values), result.member_indices[is_member]] = values[:, is_member]
        return by_member
