"""Lessons on gradient descent: step sizes, local minima and saddle points of small functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from course.foundations.lesson import Lesson, LessonData
from model.training import Optimizer
from model.training.ensemble import UPDATE_RULES, gradients, initial_slots
from pipelines.html import COLOURS, DASHES, MARKERS, as_svg, label, panels, plot_style

Objective = Callable[[Any], Any]
"""Maps k points (d, k) to their values (k,), written with Keras's operations."""


def descend(
    objective: Objective,
    start: np.ndarray,
    *,
    optimizer: Optimizer = "sgd",
    learning_rate: float | np.ndarray,
    steps: int,
    momentum: float = 0.9,
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """Return the paths of an optimizer of the ensembles from k starting points.

    Args:
        objective: the function to minimise.
        start: (d, k), the starting points.
        optimizer: a key of ``UPDATE_RULES``.
        learning_rate: one rate for all, or (k,).
        steps: the number of steps.
        momentum: used by the optimizers that have momentum.
        noise: (steps, d, k), added to the gradients; None for exact gradients.

    Returns:
        float64 (steps + 1, d, k), the starting points included.
    """
    start = np.asarray(start, float)
    ones = ops.ones_like(ops.convert_to_tensor(start))
    w = ops.convert_to_tensor(start)
    slots = tuple(ops.convert_to_tensor(slot) for slot in initial_slots(optimizer, start))
    path = [start]

    def loss(weights: Any) -> tuple[Any, Any]:
        heights = objective(weights[0])
        return ops.sum(heights), heights

    for step in range(1, steps + 1):
        _, (gradient,) = gradients(loss, [w])
        if noise is not None:
            gradient = gradient + ops.convert_to_tensor(noise[step - 1])
        w, slots = UPDATE_RULES[optimizer](
            w, gradient, slots, ones * learning_rate, ones * momentum, ones * step
        )
        path.append(ops.convert_to_numpy(w))
    return np.array(path)


def quartic(w: Any) -> Any:
    """Return x⁴/4 − x² + x/4, which has two minima, the left one lower."""
    return w[0] ** 4 / 4 - w[0] ** 2 + w[0] / 4


def valleys() -> np.ndarray:
    """Return the stationary points of the quartic: left minimum, maximum, right minimum."""
    return np.sort(np.roots([1, 0, -2, 0.25]).real)


LEARNING_RATES = {"small": 0.01, "good": 0.15, "too large": 0.62}


def learning_rates(_: LessonData) -> Lesson:
    """Return the lesson on step sizes: gradient descent on a quartic."""
    start = -2.2
    starts = np.full((1, len(LEARNING_RATES)), start)
    paths = descend(
        quartic, starts, learning_rate=np.array(list(LEARNING_RATES.values())), steps=30
    )[:, 0]
    heights = quartic(paths[None])
    lowest = float(quartic(valleys()[None, :1])[0])
    above = dict(zip(LEARNING_RATES, heights[-1] - lowest, strict=True))
    arrival_step = int(np.argmax(heights[:, 1] < lowest + 1e-3))
    last, before = paths[-1, 2], paths[-2, 2]
    diverged = descend(quartic, np.array([[start]]), learning_rate=1.0, steps=5)[-1, 0, 0]
    limit = 2 / (3 * valleys()[0] ** 2 - 2)
    return Lesson(
        "steps",
        "Gradient descent on a quartic: small, good and too large steps",
        _draw_steps(paths, heights, lowest),
        (
            f"From x = {start:g} a learning rate of {LEARNING_RATES['small']:g} is still "
            f"{above['small']:.3f} above the lowest point after 30 steps, and "
            f"{LEARNING_RATES['good']:g} is within 0.001 of it after {arrival_step}.",
            f"Above 2 over the curvature, here {limit:.2f}, no step size can settle in that "
            f"valley: {LEARNING_RATES['too large']:g} jumps over the ridge into the other one and "
            f"swings there between x = {before:.2f} and {last:.2f}, {above['too large']:.2f} above "
            f"the lowest point, and a rate of 1 has left for x = {diverged:.0e} after five steps.",
        ),
    )


@plot_style()
def _draw_steps(paths: np.ndarray, heights: np.ndarray, lowest: float) -> str:
    figure, (left, right) = panels(2)
    x = np.linspace(-2.35, 2.2, 200)
    left.plot(x, quartic(x[None]), color=COLOURS[5], linestyle="-", linewidth=1.2)
    for index, (name, rate) in enumerate(LEARNING_RATES.items()):
        style: dict[str, Any] = {
            "color": COLOURS[index],
            "linestyle": DASHES[index],
            "marker": MARKERS[index],
        }
        n_points = 8 if name == "too large" else len(paths)
        path, height = paths[:n_points, index], heights[:n_points, index]
        left.plot(path, height, **style, linewidth=0.8, markersize=4)
        above = np.maximum(heights[:, index] - lowest, 1e-12)
        right.plot(above, **style, markersize=3, linewidth=1, label=f"{name}: {rate:g}")
    right.set_yscale("log")
    right.set_ylim(1e-7, 10)
    right.legend(title="learning rate", loc="lower right")
    label(left, "x (no unit)", "height f(x) (no unit)", "Where the steps go")
    label(right, "step (count)", "above the lowest point (no unit)", "How high they are")
    return as_svg(
        figure,
        "Left, the quartic with the points of three descents; right, the height above the "
        "lowest point by step: slow, fast, and never settling.",
    )


def saddle(w: Any) -> Any:
    """Return x²/2 − y²/2 + y⁴/4, which has a saddle point at (0, 0) and minima at (0, ±1)."""
    return w[0] ** 2 / 2 - w[1] ** 2 / 2 + w[1] ** 4 / 4


class SaddlePaths(NamedTuple):
    """Descents that start towards the saddle point.

    Attributes:
        paths: by name, (steps + 1, 2).
        escape_steps: by name, the first step at less than half the minimum's value; None for never.
    """

    paths: dict[str, np.ndarray]
    escape_steps: dict[str, int | None]


def cross_saddle(steps: int = 120) -> SaddlePaths:
    """Run descents from a point whose gradient leads exactly to the saddle point."""
    names = ("exact gradient", "started 0.001 beside", "noisy gradient")
    start = np.array([[1.4, 1.4, 1.4], [0.0, 1e-3, 0.0]])
    noise = np.zeros((steps, 2, 3))
    noise[:, :, 2] = np.random.default_rng(0).normal(0, 0.05, (steps, 2))
    path = descend(saddle, start, learning_rate=0.1, steps=steps, noise=noise)
    escaped = saddle(path.transpose(1, 0, 2)) < -0.125
    escape_steps = {
        name: int(np.argmax(escaped[:, k])) if escaped[:, k].any() else None
        for k, name in enumerate(names)
    }
    return SaddlePaths({name: path[:, :, k] for k, name in enumerate(names)}, escape_steps)


def minima(_: LessonData) -> Lesson:
    """Return the lesson on local minima and saddle points."""
    starts = np.linspace(-2.2, 2.2, 45)
    ends = descend(quartic, starts[None], learning_rate=0.1, steps=60)[-1, 0]
    left, ridge, right = valleys()
    in_right = int((ends > ridge).sum())
    heights = quartic(np.array([[left, right]]))
    saddle_paths = cross_saddle()
    end = saddle_paths.paths["exact gradient"][-1]
    return Lesson(
        "minima",
        "Local minima and saddle points",
        _draw_minima(starts, ends, saddle_paths),
        (
            f"Of {len(starts)} evenly spaced starts on the quartic {in_right} end in the right "
            f"valley at x = {right:.2f}, {heights[1] - heights[0]:.2f} higher than the left one at "
            f"{left:.2f}: which side of the ridge at {ridge:.2f} a descent begins on decides, and "
            f"nothing in the gradient says that there is a deeper place.",
            "At a saddle the slope is 0 too and it is no valley: the exact gradient runs into it, "
            f"to {np.linalg.norm(end):.0e} beside, and stays for all "
            f"{len(saddle_paths.paths['exact gradient']) - 1} steps, while a start 0.001 to the "
            f"side is half way down after {saddle_paths.escape_steps['started 0.001 beside']} "
            "steps, and a gradient with noise, such as mini-batches give, after "
            f"{saddle_paths.escape_steps['noisy gradient']}.",
        ),
    )


@plot_style()
def _draw_minima(starts: np.ndarray, ends: np.ndarray, saddle_paths: SaddlePaths) -> str:
    figure, (left, right) = panels(2, height=3.1, width_ratios=(1, 1.15))
    x = np.linspace(-2.3, 2.3, 200)
    left.plot(x, quartic(x[None]), color=COLOURS[5], linestyle="-", linewidth=1.2)
    sides = ends > valleys()[1]
    for index, (side_label, side) in enumerate((("ends left", False), ("ends right", True))):
        side_starts = starts[sides == side]
        left.plot(
            side_starts,
            quartic(side_starts[None]),
            MARKERS[index],
            color=COLOURS[index * 3],
            markersize=4,
            label=side_label,
        )
    left.legend(loc="upper center")
    label(left, "start x (no unit)", "height f(x) (no unit)", "Where a start leads")
    grid = np.meshgrid(np.linspace(-0.5, 1.6, 30), np.linspace(-1.35, 1.8, 40))
    levels = np.arange(-0.4, 2.9, 0.4).round(1)
    contours = right.contourf(
        *grid, saddle(np.array(grid)), levels, cmap="Greys", vmin=-0.4, vmax=7
    )
    figure.colorbar(contours, ax=right, label="height (no unit)")
    for index, (name, path) in enumerate(saddle_paths.paths.items()):
        colour = COLOURS[index]
        right.plot(*path.T, color=colour, linestyle=DASHES[index], label=name)
        right.plot(*path[-1], MARKERS[index], color=colour, markersize=6)
    right.grid(visible=False)
    right.legend(loc="upper right")
    label(right, "x (no unit)", "y (no unit)", "Around a saddle at (0, 0)")
    return as_svg(
        figure,
        "Left: starts on the quartic marked by the valley in which they end. Right: three "
        "descents to a saddle; the exact one stops there, the two others leave it for a valley.",
    )
