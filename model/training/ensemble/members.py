"""The members of an ensemble: what each of them is, and what they came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from model.training.config import TrainingConfig
from model.training.ensemble.forward import ProgramSpec, forward_pass
from model.training.keras_network import Head, build_network

PREDICTION_CELLS_PER_BLOCK = 20_000_000
"""Numbers that a step of prediction may hold."""


@dataclass(frozen=True)
class MemberSpec:
    """One network of many.

    Attributes:
        rows: to fit on; all if None. Members with the same rows, table, held rows and order seed
            are trained fastest: they share their batches.
        weights: (n,), how much every row of the table counts, such as how often a bootstrap drew
            it; 1 if None.
        validation_rows: rows that are only looked at; needed where the config has patience.
        table: which table of features it sees, where folds have preprocessings of their own.
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
        member_indices: (G, m), the numbers of its members in the ensemble; -1 where a place was only filled
            up.
        tables: (G,), which table each group sees.
        weights: kernel, bias, kernel, bias, …: (G, inputs, units, m) and (G, units, m); a member
            with fewer units than others has zeros in their place.
        units: by hidden layer (G, 1, units, m) of 0 and 1; empty where all have all.
        losses, validation_losses: (epochs, G, m); NaN after a member's last epoch, and where it has no
            rows that are only looked at.
        best_epochs: (G, m), the number of epochs after which the weights are these.
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
        """What comes out before the last activation: (G, n, n_outputs, m)."""
        groups, _, width, members = self.weights[0].shape
        size = max(1, PREDICTION_CELLS_PER_BLOCK // (groups * width * members))
        found = []
        for start in range(0, tables.shape[1], size):
            features = tables[self.tables, start : start + size].astype(self.weights[0].dtype)
            given = keras.tree.map_structure(
                keras.ops.convert_to_tensor, (self.weights, features, self.units)
            )
            out = forward_pass(self.spec, *given)
            found.append(keras.ops.convert_to_numpy(out))
        return np.concatenate(found, axis=1)


@dataclass(frozen=True)
class Ensemble:
    """Fitted networks, in the order in which their members were given."""

    members: Sequence[MemberSpec]
    head: Head
    results: Sequence[ProgramResult]

    def __len__(self) -> int:
        return len(self.members)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """What every member says of every row.

        Args:
            features: (n, n_features); or (n_tables, n, n_features), of which each member sees its
                own.

        Returns:
            float64 (M, n): probabilities, or scores or numbers where that is what was trained;
            (M, n, n_outputs) where the head has several.
        """
        outputs = self.outputs(features)
        given = keras.activations.get(self.head.activation)(keras.ops.convert_to_tensor(outputs))
        found = keras.ops.convert_to_numpy(given).astype(np.float64)
        return found[:, :, 0] if self.head.units == 1 else found

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """The same before the last activation, always (M, n, n_outputs): log-odds of a sigmoid."""
        tables = features if features.ndim == 3 else features[None]
        shape = len(self), tables.shape[1], self.head.units
        found = np.empty(shape, keras.config.floatx())
        for part in self.results:
            real = part.member_indices >= 0
            found[part.member_indices[real]] = np.moveaxis(part.outputs(tables), 3, 1)[real]
        return found

    def losses(self) -> np.ndarray:
        """(epochs, M): mean loss of every epoch, L2 and all; NaN after a member's last."""
        return self._scatter_by_member([part.losses for part in self.results])

    def validation_losses(self) -> np.ndarray:
        """(epochs, M): of the rows that were only looked at; NaN where there were none."""
        return self._scatter_by_member([part.validation_losses for part in self.results])

    def best_epochs(self) -> np.ndarray:
        """(M,): the number of epochs after which each member's weights are these."""
        return self._scatter_by_member([part.best_epochs[None] for part in self.results])[0].astype(
            int
        )

    def weights(self, number: int) -> list[np.ndarray]:
        """Kernel, bias, kernel, bias, … of one member, as Keras's ``set_weights`` takes them."""
        part = next(part for part in self.results if number in part.member_indices)
        group, place = np.argwhere(part.member_indices == number)[0]
        widths = [*self.members[number].config.hidden, self.head.units]
        found, n_inputs = [], part.weights[0].shape[1]
        for layer, n_units in enumerate(widths):
            kernel, bias = part.weights[2 * layer : 2 * layer + 2]
            found += [kernel[group, :n_inputs, :n_units, place], bias[group, :n_units, place]]
            n_inputs = n_units
        return found

    def network(self, number: int) -> keras.Model:
        """One member as a Keras network."""
        weights = self.weights(number)
        network = build_network(self.members[number].config, weights[0].shape[0], self.head)
        network.set_weights(weights)
        return network

    def _scatter_by_member(self, found: Sequence[np.ndarray]) -> np.ndarray:
        whole = np.full((max(len(one) for one in found), len(self)), np.nan)
        for part, one in zip(self.results, found, strict=True):
            real = part.member_indices >= 0
            whole[: len(one), part.member_indices[real]] = one[:, real]
        return whole
