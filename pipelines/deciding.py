"""Whether a new version becomes the current one, and why."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from model.artifact import Artifact
from model.config import TrainingConfig
from model.evaluation import Evaluation, compare, standard_errors_worse
from pipelines.evaluating import N_SPLITS, SEED, network_recipe, out_of_fold
from pipelines.tables import Table

TOLERANCE = 0.003
STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Decision:
    """Whether a version becomes current, and the reason in one sentence."""

    promote: bool
    why: str

    def __str__(self) -> str:
        return f"{'promoted' if self.promote else 'not promoted'}: {self.why}"


def decide(
    table: Table, challenger: Artifact, champion: Artifact | None, *, jobs: int = 1
) -> Decision:
    """Compare a new version with the current one.

    It becomes current when all of this holds:

    1. It has learned something: its log loss on the folds is below that of the share of positives.
    2. Its table is as learnable as the champion's was: its log loss on the folds is at most three
       standard errors above the one that the champion's manifest holds. A table with damaged
       labels fails here.
    3. Its recipe is not worse: on the same folds of the new table, both recipes fitted inside each
       fold, its mean log loss is at most .003 above the champion's. (The champion itself has seen
       some of these patients, so its own answers about them prove nothing.)

    Without a champion only the first is asked.
    """
    folds = _folds(challenger)
    loss = folds.figures[folds.model]["log_loss"].value
    share = table.labels.mean()
    guess = float(-(share * np.log(share) + (1 - share) * np.log1p(-share)))
    if loss >= guess:
        return Decision(
            False, f"log loss {loss:.3f} is no better than guessing the share of positives"
            f" ({guess:.3f})",
        )  # fmt: skip
    if champion is None:
        return Decision(True, "there is no current version to compare it with")
    old = champion.manifest.version
    errors = standard_errors_worse(_folds(champion), folds)
    if errors > STANDARD_ERRORS:
        return Decision(
            False,
            f"log loss {loss:.3f} on its folds is {errors:.1f} standard errors above the one that "
            f"version {old} had on its own table: look at the data before you promote it",
        )
    return _compare_recipes(table, challenger, champion, jobs)


def _compare_recipes(table: Table, challenger: Artifact, champion: Artifact, jobs: int) -> Decision:
    old = champion.manifest.version
    if _config(challenger) == _config(champion):
        same = challenger.manifest.data.sha256 == champion.manifest.data.sha256
        what = "the same recipe and the same table" if same else "the same recipe on another table"
        return Decision(True, f"{what} as version {old}: no difference on the folds")
    names = {f"version {a.manifest.version}": a for a in (challenger, champion)}
    predictions = {
        name: out_of_fold(table, network_recipe(_config(artifact)), seed=SEED, name=name, jobs=jobs)
        for name, artifact in names.items()
    }
    found = compare(table.labels, table.groups, predictions, seed=SEED, n_splits=N_SPLITS)
    difference = found.differences["log_loss"]
    why = (
        f"on the same ten folds its log loss minus that of version {old} is "
        f"{difference.value:+.4f} (95 % interval {difference.low:+.4f} to {difference.high:+.4f}); "
        f"at most {TOLERANCE:+.3f} counts as not worse"
    )
    return Decision(difference.value <= TOLERANCE, why)


def _folds(artifact: Artifact) -> Evaluation:
    return msgspec.convert(artifact.manifest.metrics["folds"], Evaluation)


def _config(artifact: Artifact) -> TrainingConfig:
    return msgspec.convert(artifact.manifest.training, TrainingConfig)
