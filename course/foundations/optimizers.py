"""The lesson on optimizers, in a valley of two dimensions and on the table."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from course.foundations.gradient_descent import descend
from course.foundations.lesson import Lesson, LessonData
from course.foundations.minibatches import NETWORK
from model.training import Optimizer
from model.training.ensemble import UPDATE_RULES, MemberSpec, fit_ensemble
from pipelines.html import COLOURS, DASHES, MARKERS, as_svg, label, panels, plot_style

OPTIMIZER_NAMES: dict[Optimizer, str] = {
    "sgd": "plain",
    "momentum": "momentum",
    "nesterov": "Nesterov",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adam": "Adam",
}
LEARNING_RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0)
MAX_STEPS = 300


def valley(w: Any) -> Any:
    """Return x²/2 + 50 y², a valley with 100 times the curvature across as along."""
    return w[0] ** 2 / 2 + 50 * w[1] ** 2


class OptimizerRun(NamedTuple):
    """The path of an optimizer in the valley at the best of many learning rates.

    Attributes:
        learning_rate: the best rate.
        n_steps: the steps until the path stays within 0.1 of the minimum; None for never.
        path: (MAX_STEPS + 1, 2).
    """

    learning_rate: float
    n_steps: int | None
    path: np.ndarray


def cross_valley() -> dict[Optimizer, OptimizerRun]:
    """Return the run of each optimizer at the fastest of 40 learning rates from 0.001 to 10.

    Rates at which the path rises above the starting value are excluded.
    """
    rates = np.geomspace(1e-3, 10, 40)
    start = np.tile(np.array([[-4.0], [0.5]]), len(rates))
    runs = {}
    for optimizer in UPDATE_RULES:
        with np.errstate(over="ignore", invalid="ignore"):  # too large rates diverge
            path = descend(valley, start, optimizer=optimizer, learning_rate=rates, steps=MAX_STEPS)
            not_arrived = ~(np.linalg.norm(path, axis=1) < 0.1)
            height = valley(path.transpose(1, 0, 2))
            not_arrived[-1] |= ~(height <= height[0]).all(axis=0)
        arrival_steps = np.where(
            not_arrived.any(axis=0), len(path) - np.argmax(not_arrived[::-1], axis=0), 0
        )
        best = int(np.argmin(arrival_steps))
        n_steps = int(arrival_steps[best]) if arrival_steps[best] < len(path) else None
        runs[optimizer] = OptimizerRun(float(rates[best]), n_steps, path[:, :, best])
    return runs


def compare_optimizers(data: LessonData, epochs: int) -> dict[Optimizer, np.ndarray]:
    """Return training losses on the table from the same initial weights.

    Args:
        data: the table.
        epochs: the number of epochs.

    Returns:
        By optimizer, (epochs, len(LEARNING_RATES)).
    """
    config = replace(NETWORK, epochs=epochs)
    pairs = [(optimizer, rate) for optimizer in UPDATE_RULES for rate in LEARNING_RATES]
    members = [
        MemberSpec(replace(config, optimizer=optimizer, learning_rate=rate))
        for optimizer, rate in pairs
    ]
    losses = fit_ensemble(data.features, data.labels, members).losses()
    return dict(zip(UPDATE_RULES, np.split(losses, len(UPDATE_RULES), axis=1), strict=True))


def optimizers(data: LessonData) -> Lesson:
    """Return the lesson on momentum, Nesterov, RMSprop, Adagrad and Adam."""
    runs, losses_by_optimizer = cross_valley(), compare_optimizers(data, 30)
    best = {name: int(np.argmin(losses[-1])) for name, losses in losses_by_optimizer.items()}
    ends = {name: float(losses[-1, best[name]]) for name, losses in losses_by_optimizer.items()}
    order = sorted(ends, key=lambda name: ends[name])
    step_counts = ", ".join(
        f"{OPTIMIZER_NAMES[name]} {run.n_steps or f'not within {MAX_STEPS}'} (rate "
        f"{run.learning_rate:.2g})"
        for name, run in runs.items()
    )
    adam = losses_by_optimizer["adam"][-1]
    other_rates = [adam[best["adam"] + step] for step in (-2, 2)]
    return Lesson(
        "optimizers",
        "Momentum, Nesterov, RMSprop, Adagrad and Adam from the same start",
        _draw_optimizers(runs, losses_by_optimizer, best),
        (
            "In a valley that is 100 times steeper across than along, the steps until a path stays "
            "within 0.1 of the bottom, each optimizer at the best of 40 learning rates that never "
            f"climb above the start, are: {step_counts}.",
            "On the table, from the same weights and batches and each at the best of "
            f"{len(LEARNING_RATES)} rates, the training losses after 30 epochs run from "
            f"{ends[order[0]]:.3f} ({OPTIMIZER_NAMES[order[0]]}, "
            f"{LEARNING_RATES[best[order[0]]]:g}) to {ends[order[-1]]:.3f} "
            f"({OPTIMIZER_NAMES[order[-1]]}, {LEARNING_RATES[best[order[-1]]]:g}), and Adam's "
            f"{ends['adam']:.3f} at {LEARNING_RATES[best['adam']]:g} becomes {other_rates[0]:.3f} "
            f"at a tenth of that rate and {other_rates[1]:.3f} at ten times: the rate has to be "
            "chosen with the optimizer, and the lowest training loss says nothing yet about other "
            "patients.",
        ),
    )


@plot_style()
def _draw_optimizers(
    runs: dict[Optimizer, OptimizerRun],
    losses_by_optimizer: dict[Optimizer, np.ndarray],
    best: dict[Optimizer, int],
) -> str:
    figure, (left, right) = panels(2, height=3.4)
    x, y = np.meshgrid(np.linspace(-4.4, 1.6, 50), np.linspace(-0.6, 0.7, 50))
    left.contour(x, y, valley([x, y]), [0.2, 1, 3, 7, 14, 25], colors="#c4ccd6", linewidths=0.7)
    for index, (name, run) in enumerate(runs.items()):
        style: dict[str, Any] = {"color": COLOURS[index], "linestyle": DASHES[index]}
        left.plot(*run.path[:25].T, **style, linewidth=1.1, marker=MARKERS[index], markersize=2.5)
        losses, rate = losses_by_optimizer[name][:, best[name]], LEARNING_RATES[best[name]]
        right.plot(
            range(1, len(losses) + 1),
            losses,
            **style,
            linewidth=1.3,
            markersize=4,
            marker=MARKERS[index],
            markevery=(index, 6),
            label=f"{OPTIMIZER_NAMES[name]}, {rate:g}",
        )
    right.set_ylim(0, 0.85)
    right.legend(title="optimizer, learning rate", loc="upper right", ncols=2, columnspacing=1)
    label(left, "x, along the valley (no unit)", "y, across (no unit)", "25 steps in a valley")
    label(right, "epoch (passes over the table)", "training loss (nats)", "On the table")
    return as_svg(
        figure,
        "Left: paths of six optimizers from one start to the bottom of a long valley. "
        "Right: their training losses on the table by epoch, each at its best learning rate.",
    )
