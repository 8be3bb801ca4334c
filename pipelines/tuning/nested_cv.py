"""Choosing settings by folds within folds, so that what is reported is not what was chosen by.

Every config is trained on the inner folds of each outer training side, chosen by its inner loss,
and judged on the outer test side, which the choice has not seen. What comes out is what the way of
choosing is worth, not the best number of many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.errors import InvalidConfig
from model.evaluation import repeated_folds
from model.logit import SMALLEST_PROBABILITY
from model.training import TrainingConfig, n_parameters
from model.training.ensemble import MemberSpec, fit_ensemble
from pipelines.data import Table
from pipelines.evaluation import fit_encodings

N_OUTER_FOLDS, N_INNER_FOLDS = 10, 5
TABLES_AT_ONCE = 2 * N_OUTER_FOLDS * (1 + N_INNER_FOLDS)
"""Preprocessings whose networks are trained at once."""


@dataclass(frozen=True)
class NestedCvResult:
    """The losses of all configs on folds within folds.

    Attributes:
        configs: C, simplest first: by number of parameters, then of epochs.
        outer_losses: (C, n_repeats, n), the log loss of every patient where the outer fold held it out.
        inner_losses: (C, n_repeats, N_OUTER_FOLDS, N_INNER_FOLDS), the mean log loss of each inner fold.
        outer_folds: (n_repeats, n), the number of the outer fold that held a patient out.
    """

    configs: Sequence[TrainingConfig]
    outer_losses: np.ndarray
    inner_losses: np.ndarray
    outer_folds: np.ndarray

    def select_per_fold(self, among: Sequence[int], *, one_standard_error: bool) -> np.ndarray:
        """(n_repeats, N_OUTER_FOLDS): the number of the config that every outer fold chooses.

        With the rule of one standard error (Breiman and others, "Classification and Regression
        Trees", 1984) it is the simplest whose mean inner loss is at most one standard error of the
        lowest above it; otherwise the lowest.

        Args:
            among: numbers of configs, in their order.
        """
        losses = self.inner_losses[list(among)]  # (c, n_repeats, outer, inner)
        means = losses.mean(axis=3)
        best = means.argmin(axis=0)
        if not one_standard_error:
            return np.array(among)[best]
        errors = losses.std(axis=3, ddof=1) / np.sqrt(losses.shape[3])
        lowest = means.min(axis=0) + np.take_along_axis(errors, best[None], axis=0)[0]
        return np.array(among)[(means <= lowest).argmax(axis=0)]

    def nested_losses(
        self, among: Sequence[int], *, one_standard_error: bool = False
    ) -> np.ndarray:
        """(n_repeats, n): the log loss of every patient under what its outer fold chose."""
        chosen = self.select_per_fold(among, one_standard_error=one_standard_error)
        repeats = np.arange(len(self.outer_folds))[:, None]
        picked = chosen[repeats, self.outer_folds]
        return self.outer_losses[picked, repeats, np.arange(self.outer_folds.shape[1])]

    def select_final(self, *, one_standard_error: bool) -> int:
        """The config to train with on all patients: chosen by the outer folds of all repeats."""
        means = self.outer_losses.mean(axis=(1, 2))
        best = int(means.argmin())
        if not one_standard_error:
            return best
        # Repeats share their patients, so that the error is that of the folds of one repeat.
        of_folds = np.array(
            [
                [losses[tests == fold].mean() for fold in range(N_OUTER_FOLDS)]
                for losses, tests in zip(self.outer_losses[best], self.outer_folds, strict=True)
            ]
        )
        error = of_folds.std(axis=1, ddof=1).mean() / np.sqrt(N_OUTER_FOLDS)
        return int((means <= means[best] + error).argmax())


def run_nested_cv(
    table: Table,
    configs: Sequence[TrainingConfig],
    *,
    seed: int,
    n_repeats: int = 1,
    on_progress: Callable[[int], object] | None = None,
) -> NestedCvResult:
    """Train every config on all folds within folds.

    Args:
        configs: without a validation share: the folds are what is held out.
        on_progress: called with numbers of networks, as they are trained.

    Raises:
        InvalidConfig: too few records of an outcome; a config with a validation share.
    """
    for config in configs:
        if config.validation_fraction:
            raise InvalidConfig(
                "validation_fraction: a sweep holds its own folds out; leave it at 0"
            )
    n_features = len(table.schema.feature_names)
    ordered = sorted(configs, key=lambda c: (n_parameters(c, n_features), c.epochs))
    sides, tests = outer_and_inner_sides(table, seed, n_repeats)
    n, per_outer = len(table), 1 + N_INNER_FOLDS
    outer = np.empty((len(ordered), n_repeats, n))
    inner = np.empty((len(ordered), n_repeats, N_OUTER_FOLDS, N_INNER_FOLDS))
    for start in range(0, len(sides), TABLES_AT_ONCE):
        some = sides[start : start + TABLES_AT_ONCE]
        losses = _losses(table, ordered, some, start)
        for place, (_, test) in enumerate(some, start=start):
            fold, kind = divmod(place, per_outer)
            repeat, number = divmod(fold, N_OUTER_FOLDS)
            own = losses[:, place - start][:, test]
            if kind == 0:
                outer[:, repeat, test] = own
            else:
                inner[:, repeat, number, kind - 1] = own.mean(axis=1)
        if on_progress:
            on_progress(len(ordered) * len(some))
    return NestedCvResult(ordered, outer, inner, tests)


def count_networks(n_configs: int, n_repeats: int) -> int:
    """How many networks a sweep trains."""
    return n_configs * n_repeats * N_OUTER_FOLDS * (1 + N_INNER_FOLDS)


def outer_and_inner_sides(
    table: Table, seed: int, n_repeats: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Each outer fold and then its inner ones, as (train, test); and which fold tests whom."""
    labels, groups = table.labels, table.groups
    sides: list[tuple[np.ndarray, np.ndarray]] = []
    tests = np.empty((n_repeats, len(table)), int)
    folds = repeated_folds(labels, groups, n_splits=N_OUTER_FOLDS, n_repeats=n_repeats, seed=seed)
    for number, (train, test) in enumerate(folds):
        tests[number // N_OUTER_FOLDS, test] = number % N_OUTER_FOLDS
        sides.append((train, test))
        within = repeated_folds(
            labels[train], groups[train], n_splits=N_INNER_FOLDS, n_repeats=1, seed=seed + number
        )
        sides += [(train[some], train[others]) for some, others in within]
    return sides, tests


def _losses(
    table: Table,
    configs: Sequence[TrainingConfig],
    sides: Sequence[tuple[np.ndarray, np.ndarray]],
    first: int,
) -> np.ndarray:
    """(C, number of sides, n): every config's log loss of every patient, whoever trained on it."""
    encodings = fit_encodings(table, [train for train, _ in sides])
    tables = np.stack([encoding.encode(table.values) for encoding in encodings])
    # All configs of a side start from one seed and see the same batches.
    members = [
        MemberSpec(config.reseeded(first + place), train, table=place)
        for config in configs
        for place, (train, _) in enumerate(sides)
    ]
    predicted = fit_ensemble(tables, table.labels, members).predict(tables)
    p = np.clip(predicted, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY).reshape(
        len(configs), len(sides), -1
    )
    return -np.where(table.labels == 1, np.log(p), np.log1p(-p))
