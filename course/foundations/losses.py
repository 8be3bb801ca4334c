"""Lessons on losses: cross-entropy in nats and bits, and the shapes of three losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from course.foundations.activations import value_and_derivative
from course.foundations.lesson import Lesson, LessonData
from model.training.ensemble import ProgramSpec, record_losses
from pipelines.html import COLOURS, FILLS, MARKERS, as_svg, label, panels, plot_style

EXAMPLE = (0.2, 0.3, 0.5)
"""Predicted probabilities of three classes."""


def cross_entropies(probabilities: np.ndarray) -> np.ndarray:
    """Return the cross-entropy for each possible true class, by the function that trains networks.

    Args:
        probabilities: (k,), the predicted probabilities. Their logarithms serve as the outputs
            before softmax.

    Returns:
        (k,), in nats.
    """
    k = len(probabilities)
    program = ProgramSpec("relu", "softmax", "cross_entropy", "sgd", k, False)
    outputs = np.tile(np.log(probabilities), (k, 1))[None, :, :, None]
    record_loss = record_losses(
        program, ops.convert_to_tensor(outputs), np.eye(k)[None], np.zeros((1, 1))
    )
    return ops.convert_to_numpy(record_loss)[0, :, 0]


def cross_entropy(_: LessonData) -> Lesson:
    """Return the lesson on cross-entropy: an example of three classes, in nats and in bits."""
    nats = cross_entropies(np.array(EXAMPLE))
    bits = nats / np.log(2)
    second, third = EXAMPLE[1:]
    mean = (nats[1] + nats[2]) / 2
    return Lesson(
        "cross-entropy",
        "Cross-entropy of three classes, in nats and in bits",
        _draw_cross_entropy(nats, bits),
        (
            f"A network gives three classes the probabilities {', '.join(map(str, EXAMPLE))}: the "
            f"loss is minus the logarithm of what the true class got and of nothing else, "
            f"−ln {second} ≈ {nats[1]:.2f} if the second was true, −ln {third} ≈ {nats[2]:.2f} if "
            f"the third was, and their mean {mean:.2f} if one record of each was seen.",
            f"To base 2 the same losses are {bits[1]:.2f} and {bits[2]:.2f} bits, each "
            f"{bits[1] / nats[1]:.4f} times as large: another unit and not another loss, since the "
            f"lowest point stays where it is and only the learning rate would have to be divided "
            f"by that number.",
        ),
        "Keras, scikit-learn and this project take natural logarithms: a loss of "
        f"{np.log(2):.3f} is that of an even coin, in bits it would be 1.",
    )


@plot_style()
def _draw_cross_entropy(nats: np.ndarray, bits: np.ndarray) -> str:
    figure, (left, right) = panels(2, width_ratios=(1, 1.25))
    names = [f"class {n + 1}\np = {p}" for n, p in enumerate(EXAMPLE)]
    left.bar(np.arange(3) - 0.2, nats, 0.38, color=FILLS[0], edgecolor=COLOURS[0], label="nats")
    left.bar(np.arange(3) + 0.2, bits, 0.38, color=FILLS[3], edgecolor=COLOURS[0], label="bits")
    for index in range(3):
        left.text(index - 0.2, nats[index] + 0.04, f"{nats[index]:.2f}", ha="center", fontsize=8)
        left.text(index + 0.2, bits[index] + 0.04, f"{bits[index]:.2f}", ha="center", fontsize=8)
    left.set_xticks(range(3), names)
    left.legend()
    left.set_ylim(0, float(bits.max()) * 1.15)
    label(left, "the true class", "loss (nats, bits)", "If that class is the true one")
    p = np.linspace(0.02, 1, 200)
    right.plot(p, -np.log(p), label="−ln p (nats)")
    right.plot(p, -np.log2(p), label="−log₂ p (bits)")
    for index, (probability, loss) in enumerate(zip(EXAMPLE, nats, strict=True)):
        right.plot(probability, loss, MARKERS[index], color=COLOURS[0], markersize=6)
    right.legend()
    label(right, "probability p of the true class", "loss (nats, bits)", "Two units of one loss")
    return as_svg(
        figure,
        "Bars: the loss of each of three classes in nats and in bits. Curves: minus the "
        "logarithm of the probability, to base e and to base 2.",
    )


def loss_shapes(log_odds: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return values and derivatives of three losses by the log-odds of the true class.

    Args:
        log_odds: (n,).

    Returns:
        By name of the loss: the values (n,) and the derivatives with respect to the log-odds (n,).
    """
    shapes: dict[str, Callable[[Any], Any]] = {
        "cross-entropy": lambda z: ops.softplus(-z),
        "squared error": lambda z: ops.square(1 - ops.sigmoid(z)),
        "absolute error": lambda z: ops.abs(1 - ops.sigmoid(z)),
    }
    return {name: value_and_derivative(shape, log_odds) for name, shape in shapes.items()}


def shapes(_: LessonData) -> Lesson:
    """Return the lesson on the shapes of cross-entropy, squared and absolute error."""
    z = np.linspace(-6, 6, 241)
    curves = loss_shapes(z)
    p = np.array([0.01])
    wrong = {
        name: (float(v[0]), float(-s[0]))
        for name, (v, s) in loss_shapes(np.log(p / (1 - p))).items()
    }
    ratio = wrong["cross-entropy"][1] / wrong["squared error"][1]
    peak_probability = 1 / (1 + np.exp(-z[int(np.argmax(-curves["squared error"][1]))]))
    return Lesson(
        "shapes",
        "The shape of cross-entropy against squared and absolute error",
        _draw_shapes(z, curves),
        (
            f"Where the network gives the true class {p[0]:g}, cross-entropy charges "
            f"{wrong['cross-entropy'][0]:.2f}, squared error {wrong['squared error'][0]:.2f} and "
            f"absolute error {wrong['absolute error'][0]:.2f}: only the first has no upper end.",
            "What trains is the slope along the log-odds: there it is "
            f"{wrong['cross-entropy'][1]:.2f} for cross-entropy, {wrong['squared error'][1]:.4f} "
            f"for squared and {wrong['absolute error'][1]:.4f} for absolute error, so that the "
            f"worst answer is corrected {ratio:.0f} times as fast by the first as by the second, "
            f"whose slope is largest at a probability of {peak_probability:.2f}.",
        ),
    )


@plot_style()
def _draw_shapes(z: np.ndarray, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    figure, (left, right) = panels(2)
    p = 1 / (1 + np.exp(-z))
    for name, (values, slopes) in curves.items():
        left.plot(p, values, label=name)
        right.plot(z, -slopes, label=name)
    left.set_ylim(0, 5)
    left.legend()
    label(left, "probability of the true class", "loss (nats, or no unit)", "The loss")
    label(
        right,
        "log-odds of the true class",
        "minus the slope (per log-odds)",
        "What pushes the log-odds up",
    )
    return as_svg(
        figure,
        "Left: three losses against the probability of the true class; cross-entropy rises "
        "without end. Right: their slopes along the log-odds; only that of cross-entropy stays "
        "large where the answer is wrong.",
    )
