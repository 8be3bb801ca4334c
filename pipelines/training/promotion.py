"""Whether a new version becomes the current one, and why."""

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
    """Whether a version becomes current, and the reason in one sentence."""

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

    It becomes current when all of this holds; without a champion only the first is asked.

    1. It has learned something: its log loss on the folds is below that of the share of positives.
    2. The champion's own answers about the new table are better than guessing. A table whose
       outcome is turned round, or that is about something else, fails here.
    3. The new table is not far smaller: at least half as many records.
    4. It is as learnable: its log loss on the folds is at most three standard errors above the one
       in the champion's manifest. A table with damaged labels fails here.
    5. The recipe is not worse: on the same folds of the new table, both recipes fitted and calibrated
       out of fold, its mean log loss is at most .003 above the champion's. (The finished champion has
       seen some of these patients, so its own answers about them cannot be compared.)

    Args:
        predictions: the challenger's out-of-fold probabilities (n_repeats, n) on the folds of its
            manifest, calibrated as it is.
    """
    folds = _fold_comparison(challenger)
    loss = folds.estimates[folds.model]["log_loss"].value
    guess = _prevalence_log_loss(table)
    if loss >= guess:
        return Decision(
            False,
            f"log loss {loss:.3f} is no better than guessing the share of positives ({guess:.3f})",
        )
    if champion is None:
        return Decision(True, "there is no current version to compare it with")
    objection = _check_new_table(table, folds, champion, guess)
    return objection or _compare_recipes(table, challenger, predictions, champion)


def _check_new_table(
    table: Table, folds: ModelComparison, champion: Artifact, guess: float
) -> Decision | None:
    """Why the table itself should be looked at by a person before it goes live, if at all."""
    old = champion.manifest.version
    look = "look at the data before you promote it"
    if champion.schema.columns == table.schema.columns:
        answers = Scorer(champion).probabilities(table.values.astype(np.float32))
        everyone = np.ones((1, len(table)))
        area = auc(table.labels, answers[None], everyone)[0]
        loss = log_loss(table.labels, answers[None], everyone)[0]
        if area <= 0.5 or loss >= guess:
            return Decision(
                False,
                f"the answers of version {old} about this table are no better than guessing (AUC "
                f"{area:.3f}, log loss {loss:.3f}): {look}",
            )
    n_before = champion.manifest.data.rows
    if len(table) < MIN_SIZE_RATIO * n_before:
        return Decision(
            False, f"{len(table)} records, where version {old} was trained on {n_before}: {look}"
        )
    errors = log_loss_rise_in_standard_errors(_fold_comparison(champion), folds)
    if errors > MAX_STANDARD_ERRORS:
        loss = folds.estimates[folds.model]["log_loss"].value
        return Decision(
            False,
            f"log loss {loss:.3f} on its folds is {errors:.1f} standard errors above the one that "
            f"version {old} had on its own table: {look}",
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
            f"the same recipe as version {old}, so that their folds cannot differ; log loss "
            f"{new_loss:.3f} on the folds of {n} records, {old_loss:.3f} on those of {n_before} "
            "before",
        )
    name, champions_name = f"version {challenger.manifest.version}", f"version {old}"
    champions = fit_networks({champions_name: NetworkSpec(_config(champion))})
    beside = champions(prepare_folds(table, seed=SEED, n_repeats=1))[champions_name]
    beside = calibrate_out_of_fold(table, beside.reshape(-1, len(table)), method)
    found = compare(
        table.labels,
        table.groups,
        {name: predictions, champions_name: beside},
        seed=SEED,
        n_splits=N_SPLITS,
    )
    difference = found.differences["log_loss"]
    why = (
        f"on the same ten folds its log loss minus that of version {old} is "
        f"{difference.value:+.4f} (95 % interval {difference.low:+.4f} to {difference.high:+.4f}); "
        f"at most {MAX_LOG_LOSS_INCREASE:+.3f} counts as not worse"
    )
    return Decision(difference.value <= MAX_LOG_LOSS_INCREASE, why)


def _prevalence_log_loss(table: Table) -> float:
    """The log loss of answering every record with the share of positives."""
    share = table.labels.mean()
    return float(-(share * np.log(share) + (1 - share) * np.log1p(-share)))


def _fold_comparison(artifact: Artifact) -> ModelComparison:
    return msgspec.convert(artifact.manifest.metrics["folds"], ModelComparison)


def _fold_log_loss(artifact: Artifact) -> float:
    folds = _fold_comparison(artifact)
    return folds.estimates[folds.model]["log_loss"].value


def _config(artifact: Artifact) -> TrainingConfig:
    return msgspec.convert(artifact.manifest.training, TrainingConfig)
