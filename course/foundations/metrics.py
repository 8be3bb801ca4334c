"""Lessons on metrics: error rate and accuracy, and the cost of a missed patient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from course.foundations.lesson import Lesson, LessonData
from model.evaluation import record_log_losses
from model.training import RECIPES
from pipelines.html import COLOURS, FILLS, as_svg, label, panels, plot_style

EPOCHS = (10, 30, 100, 200, 400)


class EpochMetrics(NamedTuple):
    """Metrics of out-of-fold predictions for each number of epochs, (len(EPOCHS),) each."""

    accuracy: np.ndarray
    log_loss: np.ndarray


def accuracy_and_error_rate(
    labels: np.ndarray, probabilities: np.ndarray, threshold: float = 0.5
) -> tuple[float, float]:
    """Return accuracy and error rate at a threshold.

    Args:
        labels: (n,) of 0 and 1.
        probabilities: (n,).
        threshold: a probability at or above it counts as positive.
    """
    wrong = (probabilities >= threshold) != (labels == 1)
    return float(np.mean(~wrong)), float(np.mean(wrong))


def evaluate_epochs(data: LessonData) -> EpochMetrics:
    """Evaluate the textbook network out of fold for increasing numbers of epochs."""
    configs = [replace(RECIPES["textbook"], epochs=epochs) for epochs in EPOCHS]
    probabilities = data.out_of_fold(configs)
    losses = record_log_losses(data.labels, probabilities).mean(axis=1)
    accuracies = [accuracy_and_error_rate(data.labels, row)[0] for row in probabilities]
    return EpochMetrics(np.array(accuracies), losses)


def error_rate(data: LessonData) -> Lesson:
    """Return the lesson on error rate and accuracy, and on what both ignore."""
    probabilities = data.out_of_fold([RECIPES["default"]])[0]
    accuracy, error = accuracy_and_error_rate(data.labels, probabilities)
    majority_share = max(data.labels.mean(), 1 - data.labels.mean())
    by_epochs = evaluate_epochs(data)
    n = len(data.labels)
    n_changed = round(float(by_epochs.accuracy[1] - by_epochs.accuracy[-1]) * n)
    return Lesson(
        "error-rate",
        "Error rate against accuracy",
        _draw_error_rate(data.labels, probabilities, by_epochs),
        (
            f"They are two names for one count: of {n} patients in held-out folds "
            f"{round(accuracy * n)} are on the right side of 0.5, an accuracy of "
            f"{100 * accuracy:.1f} %, and {round(error * n)} on the wrong one, an error rate of "
            f"{100 * error:.1f} %; calling everybody healthy is right for "
            f"{100 * majority_share:.1f} %.",
            f"Neither asks how sure an answer was: from {EPOCHS[1]} to {EPOCHS[-1]} epochs the "
            f"textbook network's accuracy goes from {100 * by_epochs.accuracy[1]:.1f} to "
            f"{100 * by_epochs.accuracy[-1]:.1f} %, which is {abs(n_changed)} patients, while its "
            f"log loss goes from {by_epochs.log_loss[1]:.3f} to {by_epochs.log_loss[-1]:.3f}, "
            f"where {np.log(2):.3f} is that of saying one half to everybody.",
        ),
    )


@plot_style()
def _draw_error_rate(labels: np.ndarray, probabilities: np.ndarray, by_epochs: EpochMetrics) -> str:
    figure, (left, right) = panels(2)
    thresholds = np.linspace(0, 1, 101)
    rates = 100 * np.array(
        [accuracy_and_error_rate(labels, probabilities, threshold) for threshold in thresholds]
    )
    left.plot(thresholds, rates[:, 0], label="accuracy")
    left.plot(thresholds, rates[:, 1], label="error rate")
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
    right.plot(EPOCHS, by_epochs.accuracy, marker="o", label="accuracy (share)")
    right.plot(EPOCHS, by_epochs.log_loss, marker="s", label="log loss (nats)")
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
    """Out-of-fold results for each cost of a missed patient, (len(COSTS),) each.

    Attributes:
        missed, false_alarms: counts for the networks trained with the cost, at threshold 0.5.
        moved_missed, moved_alarms: counts for the network trained without it, at the threshold
            1 / (1 + cost).
        means: mean predictions of the networks trained with the cost.
    """

    missed: np.ndarray
    false_alarms: np.ndarray
    moved_missed: np.ndarray
    moved_alarms: np.ndarray
    means: np.ndarray


def compare_costs(data: LessonData) -> CostComparison:
    """Count missed patients and false alarms, with the cost in the loss and in the threshold."""
    predictions = data.out_of_fold(
        [replace(RECIPES["default"], positive_class_weight=float(cost)) for cost in COSTS]
    )
    positive = data.labels == 1
    trained_counts = np.array(
        [
            [(positive & (probabilities < 0.5)).sum(), (~positive & (probabilities >= 0.5)).sum()]
            for probabilities in predictions
        ]
    )
    thresholds = [1 / (1 + cost) for cost in COSTS]
    moved_counts = np.array(
        [
            [
                (positive & (predictions[0] < threshold)).sum(),
                (~positive & (predictions[0] >= threshold)).sum(),
            ]
            for threshold in thresholds
        ]
    )
    return CostComparison(
        trained_counts[:, 0],
        trained_counts[:, 1],
        moved_counts[:, 0],
        moved_counts[:, 1],
        predictions.mean(axis=1),
    )


def class_weight(data: LessonData) -> Lesson:
    """Return the lesson on the cost of a missed patient."""
    comparison = compare_costs(data)
    cost, share = COSTS[-1], data.labels.mean()
    n_ill, n_healthy = int(data.labels.sum()), int((data.labels == 0).sum())
    return Lesson(
        "missed",
        "A missed patient made to cost more",
        _draw_missed(comparison, share),
        (
            f"With ill patients counting {cost} times in the loss, {comparison.missed[-1]} of "
            f"{n_ill} are missed in held-out folds in place of {comparison.missed[0]}, and "
            f"{comparison.false_alarms[-1]} of {n_healthy} healthy ones alarmed in place of "
            f"{comparison.false_alarms[0]}: fewer misses are bought with false alarms.",
            f"The plain network with its threshold at 1/(1 + {cost}) = {1 / (1 + cost):.3f} misses "
            f"{comparison.moved_missed[-1]} and alarms {comparison.moved_alarms[-1]}, much the "
            "same trade, and keeps its probabilities: the mean of its answers is "
            f"{comparison.means[0]:.3f}, where {share:.3f} are ill, while the network trained with "
            f"the cost says {comparison.means[-1]:.3f}.",
        ),
        "What a network trained with a cost gives is a score and no longer a probability; it "
        "has to be recalibrated before it may be called one.",
    )


@plot_style()
def _draw_missed(comparison: CostComparison, share: float) -> str:
    figure, (left, right) = panels(2, width_ratios=(1.5, 1))
    left.plot(
        comparison.false_alarms,
        comparison.missed,
        marker="o",
        label="cost in the loss, threshold ½",
    )
    left.plot(
        comparison.moved_alarms,
        comparison.moved_missed,
        marker="s",
        label="plain loss, threshold 1/(1 + cost)",
    )
    for cost, alarms, misses in zip(COSTS, comparison.false_alarms, comparison.missed, strict=True):
        left.annotate(f"{cost}", (alarms, misses), (6, 4), textcoords="offset points")
    left.set_xlim(left=0)
    left.set_ylim(0, float(comparison.missed.max()) * 1.45)
    left.legend(loc="upper right")
    label(left, "false alarms (patients)", "missed (patients)", "The trade; numbers: the cost")
    right.bar(range(len(COSTS)), comparison.means, 0.62, color=FILLS[1], edgecolor=COLOURS[0])
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
