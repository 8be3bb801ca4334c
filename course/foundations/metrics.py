"""How good the answers are: error rate, accuracy, and what a missed patient costs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from course.foundations.lesson import Lesson, LessonData
from model.training import RECIPES
from pipelines.html import COLOURS, FILLS, as_svg, label, panels, plot_style

EPOCHS = (10, 30, 100, 200, 400)


class EpochMetrics(NamedTuple):
    """Figures of held-out folds, by number of epochs: (len(EPOCHS),) each."""

    accuracy: np.ndarray
    log_loss: np.ndarray


def accuracy_and_error_rate(
    labels: np.ndarray, said: np.ndarray, at: float = 0.5
) -> tuple[float, float]:
    """Shares of patients on the right and on the wrong side of a threshold."""
    wrong = (said >= at) != (labels == 1)
    return float(np.mean(~wrong)), float(np.mean(wrong))


def evaluate_epochs(data: LessonData) -> EpochMetrics:
    """The textbook network after ever more epochs, out of fold."""
    configs = [replace(RECIPES["textbook"], epochs=epochs) for epochs in EPOCHS]
    said = np.clip(data.out_of_fold(configs), 1e-7, 1 - 1e-7)
    losses = -np.where(data.labels == 1, np.log(said), np.log1p(-said)).mean(axis=1)
    return EpochMetrics(
        np.array([accuracy_and_error_rate(data.labels, one)[0] for one in said]), losses
    )


def error_rate(data: LessonData) -> Lesson:
    """Error rate against accuracy, and what both leave out."""
    said = data.out_of_fold([RECIPES["default"]])[0]
    right, wrong = accuracy_and_error_rate(data.labels, said)
    base = max(data.labels.mean(), 1 - data.labels.mean())
    lengths = evaluate_epochs(data)
    n = len(data.labels)
    moved = round(float(lengths.accuracy[1] - lengths.accuracy[-1]) * n)
    return Lesson(
        "error-rate",
        "Error rate against accuracy",
        _draw_error_rate(data.labels, said, lengths),
        (
            f"They are two names for one count: of {n} patients in held-out folds "
            f"{round(right * n)} are on the right side of 0.5, an accuracy of {100 * right:.1f} %, "
            f"and {round(wrong * n)} on the wrong one, an error rate of {100 * wrong:.1f} %; "
            f"calling everybody healthy is right for {100 * base:.1f} %.",
            f"Neither asks how sure an answer was: from {EPOCHS[1]} to {EPOCHS[-1]} epochs the "
            f"textbook network's accuracy goes from {100 * lengths.accuracy[1]:.1f} to "
            f"{100 * lengths.accuracy[-1]:.1f} %, which is {abs(moved)} patients, while its log "
            f"loss goes from {lengths.log_loss[1]:.3f} to {lengths.log_loss[-1]:.3f}, where "
            f"{np.log(2):.3f} is that of saying one half to everybody.",
        ),
    )


@plot_style()
def _draw_error_rate(labels: np.ndarray, said: np.ndarray, lengths: EpochMetrics) -> str:
    figure, (left, right) = panels(2)
    thresholds = np.linspace(0, 1, 101)
    both = np.array([accuracy_and_error_rate(labels, said, at) for at in thresholds]) * 100
    left.plot(thresholds, both[:, 0], label="accuracy")
    left.plot(thresholds, both[:, 1], label="error rate")
    left.axhline(
        100 * (1 - labels.mean()),
        color=COLOURS[5],
        linestyle=":",
        linewidth=1.2,
        label="everybody called healthy",
    )
    left.set_ylim(0, 145)
    left.set_yticks(range(0, 101, 20))
    left.legend(loc="upper right")
    label(left, "threshold (probability)", "patients (%)", "Default recipe, held-out folds")
    right.plot(EPOCHS, lengths.accuracy, marker="o", label="accuracy (share)")
    right.plot(EPOCHS, lengths.log_loss, marker="s", label="log loss (nats)")
    right.set_xscale("log")
    right.set_xticks(EPOCHS, [str(n) for n in EPOCHS])
    right.minorticks_off()
    right.set_ylim(bottom=0)
    right.legend(loc="lower left")
    label(right, "epochs (count)", "share of patients, or nats", "Textbook network, held-out folds")
    return as_svg(
        figure,
        "Left: accuracy and error rate by threshold add up to 100 %. Right: with more "
        "epochs the accuracy hardly moves and the log loss rises.",
    )


COSTS = (1, 2, 5, 10)


class CostComparison(NamedTuple):
    """Held-out folds by cost of a missed patient: (len(COSTS),) each.

    Attributes:
        missed, false_alarms: of networks trained with the cost, at 0.5.
        moved_missed, moved_alarms: of the network trained without, at 1 / (1 + cost).
        means: mean answer of the networks trained with the cost.
    """

    missed: np.ndarray
    false_alarms: np.ndarray
    moved_missed: np.ndarray
    moved_alarms: np.ndarray
    means: np.ndarray


def compare_costs(data: LessonData) -> CostComparison:
    """Missed patients and false alarms, for costs in the loss and for a moved threshold."""
    said = data.out_of_fold(
        [replace(RECIPES["default"], positive_class_weight=float(c)) for c in COSTS]
    )
    ill = data.labels == 1
    trained = np.array([[(ill & (s < 0.5)).sum(), (~ill & (s >= 0.5)).sum()] for s in said])
    at = [1 / (1 + cost) for cost in COSTS]
    moved = np.array([[(ill & (said[0] < t)).sum(), (~ill & (said[0] >= t)).sum()] for t in at])
    return CostComparison(trained[:, 0], trained[:, 1], moved[:, 0], moved[:, 1], said.mean(axis=1))


def class_weight(data: LessonData) -> Lesson:
    """A missed patient made to cost more."""
    found = compare_costs(data)
    last, share = COSTS[-1], data.labels.mean()
    n_ill, n_healthy = int(data.labels.sum()), int((data.labels == 0).sum())
    return Lesson(
        "missed",
        "A missed patient made to cost more",
        _draw_missed(found, share),
        (
            f"With ill patients counting {last} times in the loss, {found.missed[-1]} of {n_ill} "
            f"are missed in held-out folds in place of {found.missed[0]}, and "
            f"{found.false_alarms[-1]} of {n_healthy} healthy ones alarmed in place of "
            f"{found.false_alarms[0]}: fewer misses are bought with false alarms.",
            f"The plain network with its threshold at 1/(1 + {last}) = {1 / (1 + last):.3f} misses "
            f"{found.moved_missed[-1]} and alarms {found.moved_alarms[-1]}, much the same trade, "
            f"and keeps its probabilities: the mean of its answers is {found.means[0]:.3f}, where "
            f"{share:.3f} are ill, while the network trained with the cost says "
            f"{found.means[-1]:.3f}.",
        ),
        "What a network trained with a cost gives is a score and no longer a probability; it "
        "has to be recalibrated before it may be called one.",
    )


@plot_style()
def _draw_missed(found: CostComparison, share: float) -> str:
    figure, (left, right) = panels(2, width_ratios=(1.5, 1))
    left.plot(found.false_alarms, found.missed, marker="o", label="cost in the loss, threshold ½")
    left.plot(
        found.moved_alarms,
        found.moved_missed,
        marker="s",
        label="plain loss, threshold 1/(1 + cost)",
    )
    for cost, alarms, misses in zip(COSTS, found.false_alarms, found.missed, strict=True):
        left.annotate(f"{cost}", (alarms, misses), (6, 4), textcoords="offset points")
    left.set_xlim(left=0)
    left.set_ylim(0, float(found.missed.max()) * 1.45)
    left.legend(loc="upper right")
    label(left, "false alarms (patients)", "missed (patients)", "The trade; numbers: the cost")
    right.bar(range(len(COSTS)), found.means, 0.62, color=FILLS[1], edgecolor=COLOURS[0])
    right.axhline(share, color=COLOURS[1], label="share of the ill")
    right.set_xticks(range(len(COSTS)), [str(c) for c in COSTS])
    right.set_ylim(0, 1)
    right.legend()
    label(right, "cost of a missed patient (ratio)", "mean answer (no unit)", "What comes out")
    return as_svg(
        figure,
        "Left: missed patients against false alarms for costs of 1, 2, 5 and 10, trained "
        "with the cost and with a moved threshold. Right: the mean answer rises with the cost.",
    )
