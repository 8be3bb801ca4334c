"""Results as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.evaluation import (
    Estimate,
    ModelComparison,
)

if TYPE_CHECKING:
    from pipelines.evaluation import ExternalValidation


def external_validation_table(found: ExternalValidation) -> str:
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
            f"left out of {found.n_read}, because it was not known: {_format_counts(found.left_out)}"
        )
    if found.invalid_cells:
        lines.append(
            f"counted as missing, because it cannot be: {_format_counts(found.invalid_cells)}"
        )
    shares = {name: f"{count} ({count / n:.0%})" for name, count in found.missing.items()}
    lines.append(f"missing: {_format_counts(shares) if shares else 'nothing'}")
    calibration = found.calibration
    rows: list[tuple[str, Estimate | None, str]] = [
        ("AUC", found.estimates["auc"], ""),
        ("log loss", found.estimates["log_loss"], ""),
        ("Brier", found.estimates["brier"], ""),
        ("calibration in the large", calibration.in_the_large, "+"),
        ("calibration slope", calibration.slope, ""),
    ]
    lines += [f"  {title:<26}{_format_estimate(figure, sign)}" for title, figure, sign in rows]
    lines.append(
        f"  {'log loss of guessing':<26}{found.prevalence_log_loss:.3f}, the share of positives there"
    )
    return "\n".join(lines)


def _format_counts(counts: dict[str, int] | dict[str, str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _format_estimate(figure: Estimate | None, sign: str) -> str:
    if figure is None:
        return "cannot be said of these records"
    return f"{figure.value:{sign}.3f} ({figure.low:{sign}.3f} to {figure.high:{sign}.3f})"


_TITLES = {
    "log_loss": "log loss",
    "auc": "AUC",
    "accuracy": "accuracy",
    "brier": "Brier",
    "calibration_error": "calibration error",
}


def evaluation_table(evaluation: ModelComparison) -> str:
    """A row for each model under each metric, and what was left out.

    Every figure and every difference to the baseline has its 95 % interval.
    """
    beside = evaluation.differences_to_baseline()
    rows = []
    for metric, title in _TITLES.items():
        rows.append(("", "", ""))
        rows.append((title, "", f"minus {evaluation.baseline}"))
        for name, figures in evaluation.estimates.items():
            difference = beside[name][metric].format("+") if name in beside else ""
            rows.append((f"  {name}", figures[metric].format(), difference))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    head = (
        f"{evaluation.n_repeats} x {evaluation.n_splits} stratified folds, seed {evaluation.seed}, "
        f"{evaluation.n_patients} patients; 95 % intervals from a bootstrap of patients"
    )
    left_out = [f"left out: {name} ({why})" for name, why in evaluation.skipped_models.items()]
    return "\n".join([head, *lines, *([""] if left_out else []), *left_out])
