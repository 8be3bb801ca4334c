"""Results as text for a terminal."""

from __future__ import annotations

from model.evaluation import Evaluation

_TITLES = {
    "log_loss": "log loss",
    "auc": "AUC",
    "accuracy": "accuracy",
    "brier": "Brier",
    "calibration_error": "calibration error",
}


def evaluation_table(evaluation: Evaluation) -> str:
    """A row for each model under each metric, and what was left out.

    Every figure and every difference to the baseline has its 95 % interval.
    """
    beside = evaluation.beside_baseline()
    rows = []
    for metric, title in _TITLES.items():
        rows.append(("", "", ""))
        rows.append((title, "", f"minus {evaluation.baseline}"))
        for name, figures in evaluation.figures.items():
            difference = beside[name][metric].told("+") if name in beside else ""
            rows.append((f"  {name}", figures[metric].told(), difference))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    head = (
        f"{evaluation.n_repeats} x {evaluation.n_splits} stratified folds, seed {evaluation.seed}, "
        f"{evaluation.n_patients} patients; 95 % intervals from a bootstrap of patients"
    )
    left_out = [f"left out: {name} ({why})" for name, why in evaluation.left_out.items()]
    return "\n".join([head, *lines, *([""] if left_out else []), *left_out])
