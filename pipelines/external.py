"""A model on the patients of another site: how well it ranks them there, and what it promises."""

from __future__ import annotations

from functools import partial

import msgspec
import numpy as np

from model.artifact import Artifact
from model.bootstrap import Figure, bootstrapped, figure_if_any
from model.calibration import CalibrationFigures, calibration_figures, to_log_odds
from model.config import TrainingConfig
from model.metrics import auc, brier, log_loss
from model.scoring import Scorer
from pipelines.answering import Answer, answers_of
from pipelines.fitting import fit_pipeline
from pipelines.sites import Site
from pipelines.tables import Table

SEED = 20241
METRICS = {"auc": auc, "log_loss": log_loss, "brier": brier}


class ExternalEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is worth on the table of another site.

    Attributes:
        model: its name.
        file, sha256: of the other site.
        is_training_table: it is the very file that the model was trained on.
        n_read, n_records, n_positive: records in the file, those that were answered, and those of
            them with the positive outcome.
        missing: by column, in how many of the records that were answered it was missing.
        impossible, left_out: as of :class:`pipelines.sites.Site`.
        figures: AUC, log loss and Brier score, each with its 95 % interval over patients; None
            for the AUC where all outcomes are the same.
        guessing: log loss of answering every record with the share of positives there.
        calibration: slope, intercept, and calibration in the large.
    """

    model: str
    file: str
    sha256: str
    is_training_table: bool
    n_read: int
    n_records: int
    n_positive: int
    missing: dict[str, int]
    impossible: dict[str, int]
    left_out: dict[str, int]
    figures: dict[str, Figure | None]
    guessing: float
    calibration: CalibrationFigures


def evaluate_version(site: Site, artifact: Artifact) -> ExternalEvaluation:
    """A version as it serves, on the records of another site."""
    manifest = artifact.manifest
    return evaluate_external(
        site,
        Scorer(artifact).probabilities,
        name=f"version {manifest.version}",
        trained_on=manifest.data.sha256,
    )


def evaluate_recipe(
    site: Site, table: Table, config: TrainingConfig, *, name: str
) -> ExternalEvaluation:
    """A recipe, fitted on a whole table, on the records of another site."""
    fitted = fit_pipeline(table, config, progress=True)
    return evaluate_external(
        site,
        answers_of(fitted, table, config),
        name=f"the recipe {name}, fitted on {table.file}",
        trained_on=table.sha256,
    )


def evaluate_external(
    site: Site, answer: Answer, *, name: str, trained_on: str
) -> ExternalEvaluation:
    """Evaluate a model on the records of another site.

    Intervals come from a bootstrap of the patients there (Efron and Tibshirani, "An Introduction to
    the Bootstrap", 1993, chapter 13). They say nothing of how other networks of the same recipe
    would do.

    Args:
        trained_on: sha256 of the file that it was trained on.
    """
    table = site.table
    labels, groups = table.labels, table.groups
    probabilities = np.asarray(answer(table.values.astype(np.float32)), np.float64)[None]
    everyone = np.ones((1, len(labels)))
    share = np.full_like(probabilities, labels.mean())
    return ExternalEvaluation(
        model=name,
        file=table.file,
        sha256=table.sha256,
        is_training_table=table.sha256 == trained_on,
        n_read=site.n_read,
        n_records=len(table),
        n_positive=int(labels.sum()),
        missing=site.missing,
        impossible=site.impossible,
        left_out=site.left_out,
        figures={
            metric: figure_if_any(
                bootstrapped(partial(compute, labels, probabilities), groups, seed=SEED),
                compute(labels, probabilities, everyone),
            )
            for metric, compute in METRICS.items()
        },
        guessing=float(log_loss(labels, share, everyone)[0]),
        calibration=calibration_figures(labels, groups, to_log_odds(probabilities), seed=SEED),
    )


def external_table(found: ExternalEvaluation) -> str:
    """An evaluation as text for a terminal."""
    n = found.n_records
    lines = [
        f"{found.file}: {n} records, {found.n_positive} of them positive "
        f"({found.n_positive / n:.0%}), answered by {found.model}; 95 % intervals from a bootstrap "
        "of patients"
    ]
    if found.is_training_table:
        lines.append("it was trained on this very file, so that the figures are far too good")
    if found.left_out:
        lines.append(
            f"left out of {found.n_read}, because it was not known: {_counts(found.left_out)}"
        )
    if found.impossible:
        lines.append(f"counted as missing, because it cannot be: {_counts(found.impossible)}")
    shares = {name: f"{count} ({count / n:.0%})" for name, count in found.missing.items()}
    lines.append(f"missing: {_counts(shares) if shares else 'nothing'}")
    calibration = found.calibration
    rows: list[tuple[str, Figure | None, str]] = [
        ("AUC", found.figures["auc"], ""),
        ("log loss", found.figures["log_loss"], ""),
        ("Brier", found.figures["brier"], ""),
        ("calibration in the large", calibration.in_the_large, "+"),
        ("calibration slope", calibration.slope, ""),
    ]
    lines += [f"  {title:<26}{_shown(figure, sign)}" for title, figure, sign in rows]
    lines.append(
        f"  {'log loss of guessing':<26}{found.guessing:.3f}, the share of positives there"
    )
    return "\n".join(lines)


def _counts(counts: dict[str, int] | dict[str, str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _shown(figure: Figure | None, sign: str) -> str:
    if figure is None:
        return "cannot be said of these records"
    return f"{figure.value:{sign}.3f} ({figure.low:{sign}.3f} to {figure.high:{sign}.3f})"
