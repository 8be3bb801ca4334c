"""Results as text for a terminal."""

from __future__ import annotations

from model.evaluation import Evaluation, Figure

_TITLES = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "brier": "Brier",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
}


def evaluation_table(evaluation: Evaluation) -> str:
    """One line a metric: both models and their difference, each with its 95 % interval."""
    rows = [("", evaluation.model, evaluation.baseline, "difference, paired")]
    for metric, title in _TITLES.items():
        rows.append(
            (
                title,
                _figure(evaluation.figures[evaluation.model][metric]),
                _figure(evaluation.figures[evaluation.baseline][metric]),
                _figure(evaluation.differences[metric], sign="+"),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    head = (
        f"{evaluation.n_repeats} x {evaluation.n_splits} stratified folds, seed {evaluation.seed}, "
        f"{evaluation.n_patients} patients; 95 % intervals from a bootstrap of patients"
    )
    return "\n".join([head, *lines])


def _figure(figure: Figure, sign: str = "") -> str:
    return f"{figure.value:{sign}.4f} ({figure.low:{sign}.4f} to {figure.high:{sign}.4f})"
