"""Nested cross-validation: selection of a configuration in inner folds, evaluation in outer folds.

Every configuration is trained on the inner folds of each outer training set and selected by its
inner loss. The outer test set, which the selection has not seen, gives the reported loss. It
estimates the performance of the selection rule, not the best of many optimistic losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.errors import InvalidConfig
from model.evaluation import record_log_losses, repeated_folds
from model.training import TrainingConfig, n_parameters
from pipelines.data import Table
from pipelines.evaluation import FoldRows, fit_fold_networks

N_OUTER_FOLDS, N_INNER_FOLDS = 10, 5
TABLES_AT_ONCE = 2 * N_OUTER_FOLDS * (1 + N_INNER_FOLDS)
"""Number of training sets, each with its own preprocessing, whose networks are trained at once."""


@dataclass(frozen=True)
class NestedCvResult:
    """The losses of all configurations in the outer and inner folds.

    Attributes:
        configs: C configurations, simplest first: by number of parameters, then of epochs.
        outer_losses: float64 (C, n_repeats, n), the log loss of every patient in the outer fold
            that held it out.
        inner_losses: float64 (C, n_repeats, N_OUTER_FOLDS, N_INNER_FOLDS), the mean log loss of
            each inner fold.
        outer_folds: int (n_repeats, n), the number of the outer fold that held a patient out.
    """

    configs: Sequence[TrainingConfig]
    outer_losses: np.ndarray
    inner_losses: np.ndarray
    outer_folds: np.ndarray

    def select_per_fold(self, among: Sequence[int], *, one_standard_error: bool) -> np.ndarray:
        """Select a configuration in each outer fold, by the inner losses.

        Without the one-standard-error rule, select the lowest mean inner loss. With it (Breiman and
        others, "Classification and Regression Trees", 1984), select the simplest configuration
        whose mean inner loss is at most one standard error of the lowest above the lowest.

        Args:
            among: indices of the configurations to select from, in ascending order.

        Returns:
            int (n_repeats, N_OUTER_FOLDS), the index of the selected configuration.
        """
        losses = self.inner_losses[list(among)]  # (c, n_repeats, outer, inner)
        means = losses.mean(axis=3)
        best = means.argmin(axis=0)
        if not one_standard_error:
            return np.array(among)[best]
        errors = losses.std(axis=3, ddof=1) / np.sqrt(losses.shape[3])
        limit = means.min(axis=0) + np.take_along_axis(errors, best[None], axis=0)[0]
        return np.array(among)[(means <= limit).argmax(axis=0)]

    def nested_losses(
        self, among: Sequence[int], *, one_standard_error: bool = False
    ) -> np.ndarray:
        """Return float64 (n_repeats, n), each patient's log loss under its fold's selection."""
        selected = self.select_per_fold(among, one_standard_error=one_standard_error)
        repeats = np.arange(len(self.outer_folds))[:, None]
        per_patient = selected[repeats, self.outer_folds]
        return self.outer_losses[per_patient, repeats, np.arange(self.outer_folds.shape[1])]

    def select_final(self, *, one_standard_error: bool) -> int:
        """Return the index of the configuration to train on all patients, by the outer losses."""
        means = self.outer_losses.mean(axis=(1, 2))
        best = int(means.argmin())
        if not one_standard_error:
            return best
        # Repeats share their patients, so the standard error is that of one repeat's folds.
        fold_means = np.array(
            [
                [losses[tests == fold].mean() for fold in range(N_OUTER_FOLDS)]
                for losses, tests in zip(self.outer_losses[best], self.outer_folds, strict=True)
            ]
        )
        error = fold_means.std(axis=1, ddof=1).mean() / np.sqrt(N_OUTER_FOLDS)
        return int((means <= means[best] + error).argmax())


def run_nested_cv(
    table: Table,
    configs: Sequence[TrainingConfig],
    *,
    seed: int,
    n_repeats: int = 1,
    on_progress: Callable[[int], object] | None = None,
) -> NestedCvResult:
    """Train every configuration in all outer and inner folds.

    Args:
        configs: configurations with ``validation_fraction`` 0, because the folds hold records out.
        seed: of the folds.
        on_progress: called with the number of networks trained since the last call.

    Raises:
        InvalidConfig: the table has too few records of an outcome, or a configuration has a
            validation fraction.
    """
    for config in configs:
        if config.validation_fraction:
            raise InvalidConfig(
                "validation_fraction: must be 0 in a sweep, which holds out its own folds"
            )
    n_features = len(table.schema.feature_names)
    ordered = sorted(configs, key=lambda c: (n_parameters(c, n_features), c.epochs))
    splits, outer_folds = nested_splits(table, seed, n_repeats)
    n, per_outer = len(table), 1 + N_INNER_FOLDS
    outer = np.empty((len(ordered), n_repeats, n))
    inner = np.empty((len(ordered), n_repeats, N_OUTER_FOLDS, N_INNER_FOLDS))
    for start in range(0, len(splits), TABLES_AT_ONCE):
        batch = [FoldRows(*split) for split in splits[start : start + TABLES_AT_ONCE]]
        networks = fit_fold_networks(
            table,
            batch,
            # All configurations of a split have one seed, so they see the same batches.
            [[config.reseeded(start + index) for config in ordered] for index in range(len(batch))],
        )
        for index, probabilities in enumerate(networks.test_predictions()):
            test = batch[index].test
            outer_index, inner_index = divmod(start + index, per_outer)
            repeat, fold = divmod(outer_index, N_OUTER_FOLDS)
            test_losses = record_log_losses(table.labels[test], probabilities)
            if inner_index == 0:  # the outer split stands before its inner splits
                outer[:, repeat, test] = test_losses
            else:
                inner[:, repeat, fold, inner_index - 1] = test_losses.mean(axis=1)
        if on_progress:
            on_progress(len(ordered) * len(batch))
    return NestedCvResult(ordered, outer, inner, outer_folds)


def count_networks(n_configs: int, n_repeats: int) -> int:
    """Return how many networks a sweep trains."""
    return n_configs * n_repeats * N_OUTER_FOLDS * (1 + N_INNER_FOLDS)


def nested_splits(
    table: Table, seed: int, n_repeats: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Return the splits (train, test), and the outer fold that tests each patient.

    Each outer split is followed by its inner splits.
    """
    labels, groups = table.labels, table.groups
    splits: list[tuple[np.ndarray, np.ndarray]] = []
    outer_folds = np.empty((n_repeats, len(table)), int)
    folds = repeated_folds(labels, groups, n_splits=N_OUTER_FOLDS, n_repeats=n_repeats, seed=seed)
    for number, (train, test) in enumerate(folds):
        outer_folds[number // N_OUTER_FOLDS, test] = number % N_OUTER_FOLDS
        splits.append((train, test))
        inner = repeated_folds(
            labels[train], groups[train], n_splits=N_INNER_FOLDS, n_repeats=1, seed=seed + number
        )
        splits += [(train[inner_train], train[inner_test]) for inner_train, inner_test in inner]
    return splits, outer_folds
