"""Report sections on performance: metrics on the folds, and optimism."""

from __future__ import annotations

import numpy as np

from model.evaluation import METRICS
from pipelines.report.auxiliary_networks import AuxiliaryNetworks
from pipelines.report.blocks import Block, Section, TableBlock, format_number, with_interval
from pipelines.report.context import ReportContext

TITLES = {
    "log_loss": "Log loss (nats)",
    "auc": "AUC",
    "brier": "Brier score",
    "accuracy": "Accuracy at 0.5",
    "calibration_error": "Calibration error",
}
BETTER_DIRECTION = {
    "log_loss": "lower",
    "auc": "higher",
    "brier": "lower",
    "accuracy": "higher",
    "calibration_error": "lower",
}


def fold_table(context: ReportContext) -> Section:
    """Return the section on the folds: metrics of every model, and differences to the baseline.

    Args:
        context: the training that the report is about.
    """
    evaluation = context.evaluation
    loss_difference = evaluation.differences["log_loss"]
    verdict = (
        "its interval holds zero: these records cannot tell the two apart"
        if loss_difference.low <= 0 <= loss_difference.high
        else "its interval does not hold zero"
    )

    blocks: list[Block] = [
        f"{evaluation.n_repeats} x {evaluation.n_splits} stratified folds of "
        f"{evaluation.n_patients} different records (seed {evaluation.seed}): everything is fitted "
        "inside a fold, preprocessing too, and every record is predicted by networks that did not "
        "see it. Intervals hold 95 % of 2,000 bootstrap samples of records; they say what another "
        "sample of records like these might give, and nothing of other places or times.",
        TableBlock(
            ("", *(f"{title}, {BETTER_DIRECTION[key]} is better" for key, title in TITLES.items())),
            [
                (name, *(with_interval(estimates[key]) for key in TITLES))
                for name, estimates in evaluation.estimates.items()
            ],
            "Out of fold, with 95 % intervals.",
        ),
        TableBlock(
            ("", *TITLES.values()),
            [
                (
                    f"{name} minus {evaluation.baseline}",
                    *(with_interval(differences[key], sign="+") for key in TITLES),
                )
                for name, differences in evaluation.differences_to_baseline().items()
            ],
            "Differences on the same records, paired, with 95 % intervals.",
        ),
        f"The log loss of {evaluation.model} minus that of {evaluation.baseline} is "
        f"{with_interval(loss_difference, sign='+')}: {verdict}.",
        *(
            f"Not evaluated: {name}: {reason}."
            for name, reason in evaluation.skipped_models.items()
        ),
    ]
    return Section("folds", "How good the predictions are", blocks)


def optimism(context: ReportContext, auxiliary: AuxiliaryNetworks) -> Section:
    """Return the section on optimism: apparent, corrected and out-of-fold metrics.

    Args:
        context: the training that the report is about.
        auxiliary: the networks trained for the report.
    """
    names = [name for name in TITLES if name != "calibration_error"]
    apparent, mean_optimism = apparent_metrics(context), estimate_optimism(context, auxiliary)
    estimates = context.evaluation.estimates[context.evaluation.model]
    rows = [
        (
            TITLES[name],
            format_number(apparent[name]),
            format_number(mean_optimism[name], sign="+"),
            format_number(apparent[name] - mean_optimism[name]),
            with_interval(estimates[name]),
        )
        for name in names
    ]
    return Section(
        "optimism",
        "Optimism",
        [
            "A network looks better on the records that it has seen. By how much, the bootstrap "
            f"estimates (Harrell, Lee and Mark, 1996): each of {len(auxiliary.bootstrap_counts)} "
            "networks was trained on a bootstrap sample of the records; its figure there minus its "
            "figure on the table, on average, is the optimism. Preprocessing and calibration are "
            "those of the version.",
            TableBlock(
                ("", "Apparent: on its own records", "Optimism", "Corrected", "Out of fold"),
                rows,
                "Apparent figures are shown to be distrusted.",
            ),
            "None of this sees the choices that were made before on the same records, such as "
            "which recipe to use and for how many epochs. Figures that were chosen and reported on "
            "the same records are optimistic: only records of other places and later times show "
            "what the model is worth there.",
        ],
    )


def apparent_metrics(context: ReportContext) -> dict[str, float]:
    """Return the metrics on the records that the network was fitted to, by name."""
    labels = context.table.labels[context.rows]
    unit_weights = np.ones((1, len(labels)))
    probabilities = context.apparent[context.rows][None]
    return {
        name: float(compute(labels, probabilities, unit_weights)[0])
        for name, compute in METRICS.items()
    }


def estimate_optimism(context: ReportContext, auxiliary: AuxiliaryNetworks) -> dict[str, float]:
    """Estimate the optimism of each metric with the bootstrap.

    Args:
        context: the training that the report is about.
        auxiliary: the networks trained for the report.

    Returns:
        By metric, the mean over the bootstrap networks of the metric on their bootstrap sample
        minus the metric on the table.
    """
    table = auxiliary.table
    predictions = context.calibrated(
        auxiliary.bootstrap_networks.predict(context.encoding.encode(table.values))
    )
    unit_weights = np.ones((1, len(table)))
    differences: dict[str, list[float]] = {name: [] for name in METRICS}
    for counts, probabilities in zip(auxiliary.bootstrap_counts, predictions, strict=True):
        weights = np.stack([counts, unit_weights[0]])
        for name, compute in METRICS.items():
            on_sample, on_table = compute(table.labels, probabilities[None], weights)
            differences[name].append(on_sample - on_table)
    return {name: float(np.nanmean(values)) for name, values in differences.items()}
