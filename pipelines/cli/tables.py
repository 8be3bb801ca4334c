"""Evaluation results as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.evaluation import Estimate, ModelComparison

if TYPE_CHECKING:
    from pipelines.evaluation import ExternalValidation

_TITLES = {
    "log_loss": "log loss",
    "auc": "AUC",
    "accuracy": "accuracy",
    "brier": "Brier",
    "calibration_error": "calibration error",
}


def evaluation_table(evaluation: ModelComparison) -> str:
    """Return one row for each model under each metric, and the models that were skipped.

    Every estimate and every difference to the baseline has its 95 % interval.
    """
    differences = evaluation.differences_to_baseline()
    rows = []
    for metric, title in _TITLES.items():
        rows.append(("", "", ""))
        rows.append((title, "", f"minus {evaluation.baseline}"))
        for name, estimates in evaluation.estimates.items():
            difference = differences[name][metric].format("+") if name in differences else ""
            rows.append((f"  {name}", estimates[metric].format(), difference))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    header = (
        f"{evaluation.n_repeats} x {evaluation.n_splits} stratified folds, seed {evaluation.seed}, "
        f"{evaluation.n_patients} patients; 95 % bootstrap intervals over patients"
    )
    skipped = [f"skipped: {name} ({reason})" for name, reason in evaluation.skipped_models.items()]
    return "\n".join([header, *lines, *([""] if skipped else []), *skipped])


def external_validation_table(validation: ExternalValidation) -> str:
    """Return the records, the missing values and the estimates of an external validation."""
    n = validation.n_records
    lines = [
        f"{validation.file}: {n} records, {validation.n_positive} positive "
        f"({validation.n_positive / n:.0%}), predicted by {validation.model}; 95 % bootstrap "
        "intervals over patients"
    ]
    if validation.is_training_table:
        lines.append("warning: the model was trained on this file, so the estimates are too good")
    if validation.left_out:
        lines.append(
            f"excluded from the {validation.n_read} records read, by unknown column: "
            f"{_format_counts(validation.left_out)}"
        )
    if validation.invalid_cells:
        lines.append(
            f"impossible values treated as missing: {_format_counts(validation.invalid_cells)}"
        )
    missing = {name: f"{count} ({count / n:.0%})" for name, count in validation.missing.items()}
    lines.append(f"missing: {_format_counts(missing) if missing else 'nothing'}")
    calibration = validation.calibration
    rows: list[tuple[str, Estimate | None, str]] = [
        ("AUC", validation.estimates["auc"], ""),
        ("log loss", validation.estimates["log_loss"], ""),
        ("Brier", validation.estimates["brier"], ""),
        ("calibration in the large", calibration.in_the_large, "+"),
        ("calibration slope", calibration.slope, ""),
    ]
    lines += [f"  {title:<26}{_format_estimate(figure, sign)}" for title, figure, sign in rows]
    lines.append(
        f"  {'log loss of prevalence':<26}{validation.prevalence_log_loss:.3f}, "
        "predicting the share of positives for every record"
    )
    return "\n".join(lines)


def _format_counts(counts: dict[str, int] | dict[str, str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _format_estimate(figure: Estimate | None, sign: str) -> str:
    if figure is None:
        return "undefined for these records"
    return f"{figure.value:{sign}.3f} ({figure.low:{sign}.3f} to {figure.high:{sign}.3f})"
