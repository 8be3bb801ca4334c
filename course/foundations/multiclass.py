"""The lesson on several classes: softmax."""

from __future__ import annotations

import numpy as np

from course.foundations.lesson import Lesson, LessonData
from model.training import RECIPES, Head
from pipelines.html import COLOURS, FILLS, as_svg, label, panels, plot_style

CLASSES = ("none", "num 1", "num 2 to 4")


def three_classes(data: LessonData) -> tuple[np.ndarray, np.ndarray]:
    """Return the class (n,) of every patient by ``num``, and out-of-fold probabilities (n, 3)."""
    classes = np.minimum(data.table.outcome, 2).astype(int)
    labels, head = np.eye(3)[classes], Head(3, "softmax")
    return classes, data.out_of_fold([RECIPES["default"]], labels, head)[0]


def softmax(data: LessonData) -> Lesson:
    """Return the lesson on softmax with three classes."""
    classes, probabilities = three_classes(data)
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (classes, probabilities.argmax(axis=1)), 1)
    deviation = float(np.abs(probabilities.sum(axis=1) - 1).max())
    accuracy, shares = counts.trace() / len(classes), np.bincount(classes) / len(classes)
    recalls = counts.diagonal() / counts.sum(axis=1)
    loss = float(-np.log(probabilities[np.arange(len(classes)), classes]).mean())
    base_loss = float(-(shares * np.log(shares)).sum())
    return Lesson(
        "softmax",
        "Softmax on three classes",
        _draw_softmax(classes, probabilities, counts),
        (
            "Three output units and softmax, on no narrowing, num 1 and num 2 to 4 of the same "
            f"patients: the three numbers are positive and add up to 1 (within {deviation:.0e} "
            f"here), and in folds held out the cross-entropy is {loss:.3f}, against "
            f"{base_loss:.3f} for the shares of the classes alone.",
            f"The class with the largest probability is the right one for {100 * accuracy:.0f} % "
            f"of the patients, and for {100 * recalls[0]:.0f}, {100 * recalls[1]:.0f} and "
            f"{100 * recalls[2]:.0f} % of the three classes: the one in the middle, "
            f"{100 * shares[1]:.0f} % of the patients, is seldom told from its neighbours.",
        ),
    )


@plot_style()
def _draw_softmax(classes: np.ndarray, probabilities: np.ndarray, counts: np.ndarray) -> str:
    figure, (left, right) = panels(2)
    bottom = np.zeros(3)
    means = np.array([probabilities[classes == k].mean(axis=0) for k in range(3)])
    for k, name in enumerate(CLASSES):
        left.bar(
            range(3),
            means[:, k],
            0.62,
            bottom,
            color=FILLS[k + 1 if k else 0],
            label=name,
            edgecolor=COLOURS[0],
            linewidth=0.6,
        )
        for position in range(3):
            left.text(
                position,
                bottom[position] + means[position, k] / 2,
                f"{means[position, k]:.2f}",
                ha="center",
                va="center",
                fontsize=8,
            )
        bottom += means[:, k]
    left.set_xticks(range(3), CLASSES)
    left.set_ylim(0, 1.3)
    left.legend(ncols=3, loc="upper center", title="probability of", handlelength=1.2)
    label(left, "the true class", "mean probability (no unit)", "What held-out patients get")
    shares = counts / counts.sum(axis=1, keepdims=True)
    right.pcolormesh(shares, cmap="Greys", vmin=0, vmax=1.6, edgecolor="white")
    right.invert_yaxis()
    for row, column in np.ndindex(3, 3):
        right.text(
            column + 0.5, row + 0.5, str(counts[row, column]), ha="center", va="center", fontsize=10
        )
    right.set_xticks([0.5, 1.5, 2.5], CLASSES)
    right.set_yticks([0.5, 1.5, 2.5], CLASSES)
    right.grid(visible=False)
    label(right, "largest probability", "the true class", "Patients (count)")
    return as_svg(
        figure,
        "Left: mean probabilities of the three classes for patients of each. Right: counts "
        f"of patients by true and most probable class: {counts.tolist()}.",
    )
