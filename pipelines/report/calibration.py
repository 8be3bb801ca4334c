"""Report sections on the probabilities: calibration, decision curve, confusion at the threshold."""

from __future__ import annotations

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
"""Lower end of the net-benefit axis. Curves far below zero have no use for a decision."""


def reliability(context: ReportContext) -> Section:
    """Return the section on calibration: slope, intercept and reliability curve.

    Args:
        context: the training that the report is about.
    """
    choice = context.manifest.decode_metrics("calibration", CalibrationSelection)
    curve = context.manifest.decode_metrics("reliability", ReliabilityCurve)
    method = choice.calibration.method
    states = [("as the network gives them", choice.before)]
    if method != "none":
        states.append((f"calibrated by {METHOD_NAMES[method]}, as served", choice.after))
    rows = [
        (
            name,
            with_interval(regression.slope),
            with_interval(regression.intercept, sign="+"),
            with_interval(regression.in_the_large, sign="+"),
        )
        for name, regression in states
    ]
    decision = (
        "No calibration was put behind the network"
        if method == "none"
        else f"The network's output is calibrated by {METHOD_NAMES[method]}"
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
            f"{decision}: a calibration is taken only where it helps records that it was not "
            "fitted "
            f"to{'' if choice.requested == 'auto' else ', unless it is asked for, as here'}.",
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
    means = np.array([part.probability for part in curve.bins])
    shares = np.array([part.share for part in curve.bins])
    ends = np.array(
        [
            [part.share - part.low for part in curve.bins],
            [part.high - part.share for part in curve.bins],
        ]
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
    """Return the section on decisions: decision curve and confusion at the threshold.

    Args:
        context: the training that the report is about.
    """
    curve = context.manifest.decode_metrics("decision_curve", DecisionCurve)
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
    performance, outcome = context.at_threshold, context.schema.outcome
    cost_statement = (
        "It follows from the stated cost: a missed positive is as bad as "
        f"{performance.cost_ratio:g} false alarms, 1 / (1 + ratio)."
        if performance.stated
        else "Nobody has stated what a missed positive costs; this threshold takes it for as bad "
        f"as {performance.cost_ratio:g} false alarm{'' if performance.cost_ratio == 1 else 's'}."
    )
    counts = TableBlock(
        ("", f"called “{outcome.positive}”", f"called “{outcome.negative}”"),
        [
            (
                f"is “{outcome.positive}”",
                with_interval(performance.true_positives, 0),
                with_interval(performance.false_negatives, 0),
            ),
            (
                f"is “{outcome.negative}”",
                with_interval(performance.false_positives, 0),
                with_interval(performance.true_negatives, 0),
            ),
        ],
        f"Confusion at the threshold {performance.threshold:.3g}: records out of fold, with 95 % "
        "intervals.",
    )
    rates = TableBlock(
        ("", "Value (95 % interval)"),
        [
            ("Sensitivity: of the positive, called so", with_interval(performance.sensitivity)),
            ("Specificity: of the negative, called so", with_interval(performance.specificity)),
            (
                "Positive predictive value: of those called positive, who are",
                with_interval(performance.ppv),
            ),
            (
                "Negative predictive value: of those called negative, who are",
                with_interval(performance.npv),
            ),
            (
                "Net benefit (positives per record)",
                with_interval(performance.net_benefit, sign="+"),
            ),
        ],
        "Predictive values hold only where as many are positive as here: "
        f"{percent(context.n_positive / len(context.table))}.",
    )
    return [
        f"The threshold is {format_number(performance.threshold)}: a probability at or above it is "
        f"called “{outcome.positive}”. {cost_statement}",
        counts,
        rates,
    ]
