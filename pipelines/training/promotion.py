"""The decision whether a new version, the challenger, replaces the current one, the champion."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from model.artifacts import Artifact
from model.evaluation import (
    ModelComparison,
    auc,
    compare,
    log_loss,
    log_loss_rise_in_standard_errors,
)
from model.inference import Scorer
from model.training import TrainingConfig
from pipelines.data import Table
from pipelines.evaluation import N_SPLITS, SEED, NetworkSpec, fit_networks, prepare_folds
from pipelines.training.assess import calibrate_out_of_fold, load_calibration

MAX_LOG_LOSS_INCREASE = 0.003
MAX_STANDARD_ERRORS = 3.0
MIN_SIZE_RATIO = 0.5


@dataclass(frozen=True)
class Decision:
    """A decision about promotion, with its reason as a clause."""

    promote: bool
    reason: str

    def __str__(self) -> str:
        return f"{'promoted' if self.promote else 'not promoted'}: {self.reason}"


def decide(
    table: Table,
    challenger: Artifact,
    predictions: np.ndarray,
    champion: Artifact | None,
) -> Decision:
    """Compare a new version with the current one.

    The challenger is promoted if all of these hold. Without a champion, only the first applies.

    1. The challenger has learned something: its cross-validated log loss is below that of
       predicting the share of positives.
    2. The champion predicts the new table better than that, with an AUC above 0.5. A table whose
       outcome is inverted, or that describes something else, fails here.
    3. The new table is not far smaller: it has at least half as many records.
    4. The new table is not much harder: the cross-validated log loss is at most three standard
       errors above the one in the champion's manifest. A table with damaged labels fails here.
    5. The recipe is not worse: on the same folds of the new table, with both recipes fitted and
       calibrated out of fold, its mean log loss is at most 0.003 above the champion's. (The
       champion was trained on some of these patients, so its own predictions cannot be compared.)

    Args:
        predictions: float64 (n_repeats, n), the challenger's out-of-fold probabilities, with its
            calibration.
    """
    folds = _fold_comparison(challenger)
    loss = folds.estimates[folds.model]["log_loss"].value
    prevalence_loss = _prevalence_log_loss(table)
    if loss >= prevalence_loss:
        return Decision(
            False,
            f"its cross-validated log loss {loss:.3f} is no better than predicting the share of "
            f"positives ({prevalence_loss:.3f})",
        )
    if champion is None:
        return Decision(True, "no current version to compare with")
    rejection = _check_new_table(table, folds, champion, prevalence_loss)
    return rejection or _compare_recipes(table, challenger, predictions, champion)


def _check_new_table(
    table: Table, folds: ModelComparison, champion: Artifact, prevalence_loss: float
) -> Decision | None:
    """Return a rejection if the table needs a person's review before promotion, otherwise None."""
    old = champion.manifest.version
    next_step = "check the data, then promote the version by hand if it is right"
    if champion.schema.columns == table.schema.columns:
        probabilities = Scorer(champion).probabilities(table.values)
        weights = np.ones((1, len(table)))
        area = auc(table.labels, probabilities[None], weights)[0]
        loss = log_loss(table.labels, probabilities[None], weights)[0]
        if area <= 0.5 or loss >= prevalence_loss:
            return Decision(
                False,
                f"version {old} predicts this table no better than chance (AUC {area:.3f}, "
                f"log loss {loss:.3f}); {next_step}",
            )
    n_before = champion.manifest.data.rows
    if len(table) < MIN_SIZE_RATIO * n_before:
        return Decision(
            False,
            f"the table has {len(table)} records, but version {old} was trained on {n_before}; "
            f"{next_step}",
        )
    errors = log_loss_rise_in_standard_errors(_fold_comparison(champion), folds)
    if errors > MAX_STANDARD_ERRORS:
        loss = folds.estimates[folds.model]["log_loss"].value
        return Decision(
            False,
            f"the cross-validated log loss {loss:.3f} is {errors:.1f} standard errors above that "
            f"of version {old} on its own table; {next_step}",
        )
    return None


def _compare_recipes(
    table: Table, challenger: Artifact, predictions: np.ndarray, champion: Artifact
) -> Decision:
    old = champion.manifest.version
    method = load_calibration(champion).method
    same_calibration = load_calibration(challenger).method == method
    if _config(challenger) == _config(champion) and same_calibration:
        new_loss, old_loss = (_fold_log_loss(artifact) for artifact in (challenger, champion))
        n, n_before = (a.manifest.data.rows for a in (challenger, champion))
        return Decision(
            True,
            f"same recipe as version {old}, so cross-validation cannot distinguish them; log loss "
            f"{new_loss:.3f} with {n} records, {old_loss:.3f} with {n_before} records before",
        )
    challenger_name, champion_name = f"version {challenger.manifest.version}", f"version {old}"
    fit_champion = fit_networks({champion_name: NetworkSpec(_config(champion))})
    champion_predictions = calibrate_out_of_fold(
        table,
        fit_champion(prepare_folds(table, seed=SEED, n_repeats=1))[champion_name].reshape(
            -1, len(table)
        ),
        method,
    )
    comparison = compare(
        table.labels,
        table.groups,
        {challenger_name: predictions, champion_name: champion_predictions},
        seed=SEED,
        n_splits=N_SPLITS,
    )
    difference = comparison.differences["log_loss"]
    reason = (
        f"on the same {N_SPLITS} folds, the difference in log loss to version {old} is "
        f"{difference.value:+.4f} (95 % interval {difference.low:+.4f} to {difference.high:+.4f}); "
        f"the limit is {MAX_LOG_LOSS_INCREASE:+.3f}"
    )
    return Decision(difference.value <= MAX_LOG_LOSS_INCREASE, reason)


def _prevalence_log_loss(table: Table) -> float:
    """Return the log loss of predicting the share of positives for every record."""
    share = table.labels.mean()
    return float(-(share * np.log(share) + (1 - share) * np.log1p(-share)))


def _fold_comparison(artifact: Artifact) -> ModelComparison:
    return msgspec.convert(artifact.manifest.metrics["folds"], ModelComparison)


def _fold_log_loss(artifact: Artifact) -> float:
    folds = _fold_comparison(artifact)
    return folds.estimates[folds.model]["log_loss"].value


def _config(artifact: Artifact) -> TrainingConfig:
    return msgspec.convert(artifact.manifest.training, TrainingConfig)
