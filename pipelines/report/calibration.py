"""What a probability is worth: whether it means what it says, and what acting on it does."""

from __future__ import annotations

import msgspec
import numpy as np

from model.calibration import METHOD_NAMES, CalibrationSelection
from model.evaluation import DecisionCurve, ReliabilityCurve
from pipelines.html import COLOURS, DASHES, FILLS, MARKERS, as_svg, label, panels, plot_style
from pipelines.report.blocks import (
    FigureBlock,
    Section,
    TableBlock,
    format_number,
    percent,
    with_interval,
)
from pipelines.report.context import ReportContext

MIN_NET_BENEFIT = -0.05
"""Of the net benefit that is drawn: further down, nobody would act so."""


def reliability(context: ReportContext) -> Section:
    """Slope, intercept, and the share of positives by probability."""
    metrics = context.manifest.metrics
    choice = msgspec.convert(metrics["calibration"], CalibrationSelection)
    curve = msgspec.convert(metrics["reliability"], ReliabilityCurve)
    taken = choice.calibration.method
    states = [("as the network gives them", choice.before)]
    if taken != "none":
        states.append((f"calibrated by {METHOD_NAMES[taken]}, as served", choice.after))
    rows = [
        (
            name,
            with_interval(found.slope),
            with_interval(found.intercept, sign="+"),
            with_interval(found.in_the_large, sign="+"),
        )
        for name, found in states
    ]
    kept = (
        "No calibration was put behind the network"
        if taken == "none"
        else f"The network's output is calibrated by {METHOD_NAMES[taken]}"
    )
    return Section(
        "reliability",
        "Do the probabilities mean what they say?",
        [
            "Of the records that are given 30 %, 30 % should be positive. A slope below 1 says "
            "that probabilities are too extreme, one above 1 that they are too timid; calibration "
            "in the large is above 0 where there were more positives than the probabilities "
            "promised.",
            TableBlock(
                ("Log-odds", "Slope (1)", "Intercept (0)", "In the large (0)"),
                rows,
                "Calibration out of fold, with 95 % intervals; in brackets what honest ones have.",
            ),
            f"{kept}: a calibration is taken only where it helps records that it was not fitted to"
            f"{'' if choice.requested == 'auto' else ', unless it is asked for, as here'}.",
            _reliability_curve(curve),
        ],
    )


@plot_style()
def _reliability_curve(curve: ReliabilityCurve) -> FigureBlock:
    figure, (axes,) = panels(1, height=4.2)
    p = np.array(curve.probabilities)
    axes.plot(
        [0, 1], [0, 1], color=COLOURS[5], linestyle=DASHES[2], label="probabilities that are met"
    )
    axes.plot(
        p, curve.shares, color=COLOURS[0], linestyle=DASHES[0], label="share of positives, smoothed"
    )
    axes.fill_between(p, curve.low, curve.high, color=FILLS[0], linewidth=0, label="its 95 % band")
    means = np.array([one.probability for one in curve.bins])
    shares = np.array([one.share for one in curve.bins])
    ends = np.array(
        [[one.share - one.low for one in curve.bins], [one.high - one.share for one in curve.bins]]
    )
    axes.errorbar(
        means,
        shares,
        np.maximum(ends, 0),
        color=COLOURS[1],
        marker=MARKERS[1],
        linestyle="none",
        elinewidth=1,
        capsize=2,
        label="tenths of the records,\nwith 95 % intervals",
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    label(axes, "probability given out of fold", "share that is positive")
    figure.legend(loc="outside right upper")
    return FigureBlock(
        as_svg(figure, "Share of positive records by the probability that they were given."),
        f"Reliability. The line is a local regression over the nearest {percent(curve.span)} of "
        "the records; one point of it is inside the band with 95 %, the whole line with less. The "
        "points are those of tenths of the records, with Wilson's intervals.",
    )


def decision_analysis(context: ReportContext) -> Section:
    """The decision curve, and the confusion at the threshold."""
    curve = msgspec.convert(context.manifest.metrics["decision_curve"], DecisionCurve)
    return Section(
        "decisions",
        "What acting on them does",
        [
            "Whoever acts from a probability t on says that a missed positive is as bad as "
            "(1 - t) / t false alarms. Net benefit counts positives found, minus false alarms at "
            "that price, per record (Vickers and Elkin, 2006). The model is worth using at t where "
            "it lies above both acting on everybody and acting on nobody.",
            _decision_curve(context, curve),
            *_confusion(context),
        ],
    )


@plot_style()
def _decision_curve(context: ReportContext, curve: DecisionCurve) -> FigureBlock:
    figure, (axes,) = panels(1, height=3.4)
    t = np.array(curve.thresholds)
    axes.fill_between(
        t, curve.low, curve.high, color=FILLS[0], linewidth=0, label="model, 95 % band"
    )
    axes.plot(t, curve.model, color=COLOURS[0], linestyle=DASHES[0], label="model")
    axes.plot(
        t, curve.treat_all, color=COLOURS[1], linestyle=DASHES[1], label="acting on everybody"
    )
    axes.axhline(0, color=COLOURS[2], linestyle=DASHES[2], label="acting on nobody")
    threshold = context.at_threshold.threshold
    axes.axvline(threshold, color=COLOURS[5], linewidth=1, label=f"the threshold, {threshold:.3g}")
    axes.set_xlim(0, 1)
    axes.set_ylim(MIN_NET_BENEFIT, max(*curve.high, *curve.treat_all, 0.05) * 1.05)
    label(axes, "threshold probability t", "net benefit (positives per record)")
    figure.legend(loc="outside right upper")
    return FigureBlock(
        as_svg(figure, "Net benefit by threshold, of the model and of acting on all or none."),
        "Decision curve, out of fold, with its pointwise 95 % band.",
    )


def _confusion(context: ReportContext) -> list[str | TableBlock]:
    found, outcome = context.at_threshold, context.schema.outcome
    stated = (
        f"It follows from the stated cost: a missed positive is as bad as {found.cost_ratio:g} "
        "false alarms, 1 / (1 + ratio)."
        if found.stated
        else "Nobody has stated what a missed positive costs; this threshold takes it for as bad "
        f"as {found.cost_ratio:g} false alarm{'' if found.cost_ratio == 1 else 's'}."
    )
    counts = TableBlock(
        ("", f"called “{outcome.positive}”", f"called “{outcome.negative}”"),
        [
            (
                f"is “{outcome.positive}”",
                with_interval(found.true_positives, 0),
                with_interval(found.false_negatives, 0),
            ),
            (
                f"is “{outcome.negative}”",
                with_interval(found.false_positives, 0),
                with_interval(found.true_negatives, 0),
            ),
        ],
        f"Confusion at the threshold {found.threshold:.3g}: records out of fold, with 95 % "
        "intervals.",
    )
    shares = TableBlock(
        ("", "Value (95 % interval)"),
        [
            ("Sensitivity: of the positive, called so", with_interval(found.sensitivity)),
            ("Specificity: of the negative, called so", with_interval(found.specificity)),
            (
                "Positive predictive value: of those called positive, who are",
                with_interval(found.ppv),
            ),
            (
                "Negative predictive value: of those called negative, who are",
                with_interval(found.npv),
            ),
            ("Net benefit (positives per record)", with_interval(found.net_benefit, sign="+")),
        ],
        "Predictive values hold only where as many are positive as here: "
        f"{percent(context.n_positive / len(context.table))}.",
    )
    return [
        f"The threshold is {format_number(found.threshold)}: a probability at or above it is "
        f"called “{outcome.positive}”. {stated}",
        counts,
        shares,
    ]
