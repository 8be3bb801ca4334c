"""How good the predictions are: the fold table, and how far the figures flatter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from model.evaluation import METRICS, Estimate, ModelComparison
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
BETTER_DIRECTION = {"log_loss": "lower", "auc": "higher", "brier": "lower", "accuracy": "higher",
          "calibration_error": "lower"}  # fmt: skip


def fold_table(context: ReportContext) -> Section:
    """Every model on the same folds, and its paired difference to the baseline."""
    found = context.evaluation
    loss = found.differences["log_loss"]
    verdict = (
        "its interval holds zero: these records cannot tell the two apart"
        if loss.low <= 0 <= loss.high
        else "its interval does not hold zero"
    )
    left_out: Mapping[str, str] = getattr(found, "skipped_models", {})
    blocks: list[Block] = [
        f"{found.n_repeats} x {found.n_splits} stratified folds of {found.n_patients} different "
        f"records (seed {found.seed}): everything is fitted inside a fold, preprocessing too, and "
        "every record is predicted by networks that did not see it. Intervals hold 95 % of 2,000 "
        "bootstrap samples of records; they say what another sample of records like these might "
        "give, and nothing of other places or times.",
        TableBlock(
            ("", *(f"{title}, {BETTER_DIRECTION[key]} is better" for key, title in TITLES.items())),
            [
                (name, *(with_interval(figures[key]) for key in TITLES))
                for name, figures in found.estimates.items()
            ],
            "Out of fold, with 95 % intervals.",
        ),
        TableBlock(
            ("", *TITLES.values()),
            [
                (
                    f"{name} minus {found.baseline}",
                    *(with_interval(d[key], sign="+") for key in TITLES),
                )
                for name, d in _differences(found).items()
            ],
            "Differences on the same records, paired, with 95 % intervals.",
        ),
        f"The log loss of {found.model} minus that of {found.baseline} is "
        f"{with_interval(loss, sign='+')}: {verdict}.",
        *(f"Not evaluated: {name}: {why}." for name, why in left_out.items()),
    ]
    return Section("folds", "How good the predictions are", blocks)


def optimism(context: ReportContext, auxiliary: AuxiliaryNetworks) -> Section:
    """How much better a network looks on the records that it was trained on."""
    names = [name for name in TITLES if name != "calibration_error"]
    apparent, drawn = apparent_figures(context), optimism_of_figures(context, auxiliary)
    folds = context.evaluation.estimates[context.evaluation.model]
    rows = [
        (
            TITLES[name],
            format_number(apparent[name]),
            format_number(drawn[name], sign="+"),
            format_number(apparent[name] - drawn[name]),
            with_interval(folds[name]),
        )
        for name in names
    ]
    return Section(
        "optimism",
        "Optimism",
        [
            "A network looks better on the records that it has seen. By how much, the bootstrap "
            f"estimates (Harrell, Lee and Mark, 1996): each of {len(auxiliary.bootstrap_counts)} networks was "
            "trained on a bootstrap sample of the records; its figure there minus its figure on the "
            "table, on average, is the optimism. Preprocessing and calibration are those of the "
            "version.",
            TableBlock(
                ("", "Apparent: on its own records", "Optimism", "Corrected", "Out of fold"),
                rows,
                "Apparent figures are shown to be distrusted.",
            ),
            "None of this sees the choices that were made before on the same records, such as which "
            "recipe to use and for how many epochs. Figures that were chosen and reported on the "
            "same records are optimistic: only records of other places and later times show what "
            "the model is worth there.",
        ],
    )


def _differences(found: ModelComparison) -> Mapping[str, Mapping[str, Estimate]]:
    return {found.model: found.differences} | getattr(found, "other_differences", {})


def apparent_figures(context: ReportContext) -> dict[str, float]:
    """Compute every metric on the very records that the network was fitted to."""
    labels = context.table.labels[context.rows]
    everyone = np.ones((1, len(labels)))
    given = context.apparent[context.rows][None]
    return {name: float(compute(labels, given, everyone)[0]) for name, compute in METRICS.items()}


def optimism_of_figures(context: ReportContext, auxiliary: AuxiliaryNetworks) -> dict[str, float]:
    """Compute by how much each metric looks better on resampled records than on all of them."""
    table = auxiliary.table
    given = context.calibrated(
        auxiliary.bootstrap_networks.predict(context.encoding.encode(table.values))
    )
    everyone = np.ones((1, len(table)))
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for drawn, probabilities in zip(auxiliary.bootstrap_counts, given, strict=True):
        both = np.stack([drawn, everyone[0]])
        for name, compute in METRICS.items():
            here, there = compute(table.labels, probabilities[None], both)
            found[name].append(here - there)
    return {name: float(np.nanmean(values)) for name, values in found.items()}
