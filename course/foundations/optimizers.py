"""What an optimizer makes of the gradients: in a valley that can be drawn, and on the table."""

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
    """x²/2 + 50 y²: a valley 100 times steeper across than along."""
    return w[0] ** 2 / 2 + 50 * w[1] ** 2


class OptimizerRun(NamedTuple):
    """An optimizer's way down the valley at the best of many rates.

    Attributes:
        n_steps: the step from which on it stays within 0.1 of the bottom; None for never.
        path: (steps + 1, 2).
    """

    learning_rate: float
    n_steps: int | None
    path: np.ndarray


def cross_valley() -> dict[Optimizer, OptimizerRun]:
    """By optimizer, the way at the rate that arrives first, of 40 between 0.001 and 10.

    Rates with which the path climbs above its start on the way do not count.
    """
    rates = np.geomspace(1e-3, 10, 40)
    start = np.tile(np.array([[-4.0], [0.5]]), len(rates))
    found = {}
    for optimizer in UPDATE_RULES:
        with np.errstate(over="ignore", invalid="ignore"):  # of rates that are too large
            path = descend(valley, start, optimizer=optimizer, learning_rate=rates, steps=MAX_STEPS)
            outside = ~(np.linalg.norm(path, axis=1) < 0.1)
            height = valley(path.transpose(1, 0, 2))
            outside[-1] |= ~(height <= height[0]).all(axis=0)
        arrived = np.where(outside.any(axis=0), len(path) - np.argmax(outside[::-1], axis=0), 0)
        best = int(np.argmin(arrived))
        came = int(arrived[best]) if arrived[best] < len(path) else None
        found[optimizer] = OptimizerRun(float(rates[best]), came, path[:, :, best])
    return found


def compare_optimizers(data: LessonData, epochs: int) -> dict[Optimizer, np.ndarray]:
    """By optimizer, (epochs, len(LEARNING_RATES)): training losses on the table, from the same start."""
    config = replace(NETWORK, epochs=epochs)
    tried = [(optimizer, rate) for optimizer in UPDATE_RULES for rate in LEARNING_RATES]
    members = [MemberSpec(replace(config, optimizer=o, learning_rate=rate)) for o, rate in tried]
    losses = fit_ensemble(data.features, data.labels, members).losses()
    return dict(zip(UPDATE_RULES, np.split(losses, len(UPDATE_RULES), axis=1), strict=True))


def optimizers(data: LessonData) -> Lesson:
    """Momentum, Nesterov, RMSprop, Adagrad and Adam from the same start."""
    ways, found = cross_valley(), compare_optimizers(data, 30)
    best = {name: int(np.argmin(losses[-1])) for name, losses in found.items()}
    ends = {name: float(losses[-1, best[name]]) for name, losses in found.items()}
    order = sorted(ends, key=lambda name: ends[name])
    reached = ", ".join(
        f"{OPTIMIZER_NAMES[name]} {way.n_steps or f'not within {MAX_STEPS}'} (rate "
        f"{way.learning_rate:.2g})"
        for name, way in ways.items()
    )
    adam = found["adam"][-1]
    off = [adam[best["adam"] + step] for step in (-2, 2)]
    return Lesson(
        "optimizers",
        "Momentum, Nesterov, RMSprop, Adagrad and Adam from the same start",
        _draw_optimizers(ways, found, best),
        (
            "In a valley that is 100 times steeper across than along, the steps until a path stays "
            "within 0.1 of the bottom, each optimizer at the best of 40 learning rates that never "
            f"climb above the start, are: {reached}.",
            "On the table, from the same weights and batches and each at the best of "
            f"{len(LEARNING_RATES)} rates, the training losses after 30 epochs run from "
            f"{ends[order[0]]:.3f} ({OPTIMIZER_NAMES[order[0]]}, "
            f"{LEARNING_RATES[best[order[0]]]:g}) to {ends[order[-1]]:.3f} "
            f"({OPTIMIZER_NAMES[order[-1]]}, {LEARNING_RATES[best[order[-1]]]:g}), and Adam's "
            f"{ends['adam']:.3f} at {LEARNING_RATES[best['adam']]:g} becomes {off[0]:.3f} at a "
            f"tenth of that rate and {off[1]:.3f} at ten times: the rate has to be chosen with the "
            "optimizer, and the lowest training loss says nothing yet about other patients.",
        ),
    )


@plot_style()
def _draw_optimizers(
    ways: dict[Optimizer, OptimizerRun],
    found: dict[Optimizer, np.ndarray],
    best: dict[Optimizer, int],
) -> str:
    figure, (left, right) = panels(2, height=3.4)
    x, y = np.meshgrid(np.linspace(-4.4, 1.6, 50), np.linspace(-0.6, 0.7, 50))
    left.contour(x, y, valley([x, y]), [0.2, 1, 3, 7, 14, 25], colors="#c4ccd6", linewidths=0.7)
    for place, (name, way) in enumerate(ways.items()):
        style: dict[str, Any] = {"color": COLOURS[place], "linestyle": DASHES[place]}
        left.plot(*way.path[:25].T, **style, linewidth=1.1, marker=MARKERS[place], markersize=2.5)
        losses, rate = found[name][:, best[name]], LEARNING_RATES[best[name]]
        right.plot(
            range(1, len(losses) + 1),
            losses,
            **style,
            linewidth=1.3,
            markersize=4,
            marker=MARKERS[place],
            markevery=(place, 6),
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
