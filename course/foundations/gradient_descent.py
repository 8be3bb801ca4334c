"""Going downhill on functions that can be drawn, with the steps that train the networks."""

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
"""(d, k) → (k,), heights at k places, written with Keras's operations."""


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
    """Where an optimizer of :mod:`model.training.ensemble.optimizers` comes by, from k starts at once.

    Args:
        start: (d, k)
        learning_rate: one for all, or (k,).
        noise: (steps, d, k), what is added to the gradients.

    Returns:
        float64 (steps + 1, d, k).
    """
    start = np.asarray(start, float)
    one = ops.ones_like(ops.convert_to_tensor(start))
    w = ops.convert_to_tensor(start)
    slots = tuple(ops.convert_to_tensor(slot) for slot in initial_slots(optimizer, start))
    path = [start]

    def loss(weights: Any) -> tuple[Any, Any]:
        heights = objective(weights[0])
        return ops.sum(heights), heights

    for number in range(1, steps + 1):
        _, (gradient,) = gradients(loss, [w])
        if noise is not None:
            gradient = gradient + ops.convert_to_tensor(noise[number - 1])
        w, slots = UPDATE_RULES[optimizer](
            w, gradient, slots, one * learning_rate, one * momentum, one * number
        )
        path.append(ops.convert_to_numpy(w))
    return np.array(path)


def quartic(w: Any) -> Any:
    """x⁴/4 − x² + x/4: two valleys, the left one deeper."""
    return w[0] ** 4 / 4 - w[0] ** 2 + w[0] / 4


def valleys() -> np.ndarray:
    """Where the quartic's slope is 0: left valley, ridge, right valley."""
    return np.sort(np.roots([1, 0, -2, 0.25]).real)


LEARNING_RATES = {"small": 0.01, "good": 0.15, "too large": 0.62}


def learning_rates(_: LessonData) -> Lesson:
    """Gradient descent on a quartic, with small, good and too large steps."""
    start = -2.2
    starts = np.full((1, len(LEARNING_RATES)), start)
    paths = descend(
        quartic, starts, learning_rate=np.array(list(LEARNING_RATES.values())), steps=30
    )[:, 0]
    heights = quartic(paths[None])
    lowest = float(quartic(valleys()[None, :1])[0])
    above = dict(zip(LEARNING_RATES, heights[-1] - lowest, strict=True))
    arrived = int(np.argmax(heights[:, 1] < lowest + 1e-3))
    last, before = paths[-1, 2], paths[-2, 2]
    flown = descend(quartic, np.array([[start]]), learning_rate=1.0, steps=5)[-1, 0, 0]
    limit = 2 / (3 * valleys()[0] ** 2 - 2)
    return Lesson(
        "steps",
        "Gradient descent on a quartic: small, good and too large steps",
        _draw_steps(paths, heights, lowest),
        (
            f"From x = {start:g} a learning rate of {LEARNING_RATES['small']:g} is still "
            f"{above['small']:.3f} above the lowest point after 30 steps, and "
            f"{LEARNING_RATES['good']:g} is within 0.001 of it after {arrived}.",
            f"Above 2 over the curvature, here {limit:.2f}, no step size can settle in that "
            f"valley: {LEARNING_RATES['too large']:g} jumps over the ridge into the other one and "
            f"swings there between x = {before:.2f} and {last:.2f}, {above['too large']:.2f} above "
            f"the lowest point, and a rate of 1 has left for x = {flown:.0e} after five steps.",
        ),
    )


@plot_style()
def _draw_steps(paths: np.ndarray, heights: np.ndarray, lowest: float) -> str:
    figure, (left, right) = panels(2)
    x = np.linspace(-2.35, 2.2, 200)
    left.plot(x, quartic(x[None]), color=COLOURS[5], linestyle="-", linewidth=1.2)
    for place, (name, rate) in enumerate(LEARNING_RATES.items()):
        style: dict[str, Any] = {
            "color": COLOURS[place],
            "linestyle": DASHES[place],
            "marker": MARKERS[place],
        }
        shown = 8 if name == "too large" else len(paths)
        path, height = paths[:shown, place], heights[:shown, place]
        left.plot(path, height, **style, linewidth=0.8, markersize=4)
        above = np.maximum(heights[:, place] - lowest, 1e-12)
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
    """x²/2 − y²/2 + y⁴/4: flat at (0, 0), and lowest at (0, ±1)."""
    return w[0] ** 2 / 2 - w[1] ** 2 / 2 + w[1] ** 4 / 4


class SaddlePaths(NamedTuple):
    """Paths over the saddle, and the first step after which each is below half the depth."""

    paths: dict[str, np.ndarray]
    escape_steps: dict[str, int | None]


def cross_saddle(steps: int = 120) -> SaddlePaths:
    """Descents from a place whose gradient leads exactly into the saddle."""
    names = ("exact gradient", "started 0.001 beside", "noisy gradient")
    start = np.array([[1.4, 1.4, 1.4], [0.0, 1e-3, 0.0]])
    noise = np.zeros((steps, 2, 3))
    noise[:, :, 2] = np.random.default_rng(0).normal(0, 0.05, (steps, 2))
    path = descend(saddle, start, learning_rate=0.1, steps=steps, noise=noise)
    below = saddle(path.transpose(1, 0, 2)) < -0.125
    free = {
        name: int(np.argmax(below[:, k])) if below[:, k].any() else None
        for k, name in enumerate(names)
    }
    return SaddlePaths({name: path[:, :, k] for k, name in enumerate(names)}, free)


def minima(_: LessonData) -> Lesson:
    """Local minima and saddle points."""
    starts = np.linspace(-2.2, 2.2, 45)
    ends = descend(quartic, starts[None], learning_rate=0.1, steps=60)[-1, 0]
    left, ridge, right = valleys()
    in_right = int((ends > ridge).sum())
    heights = quartic(np.array([[left, right]]))
    stuck = cross_saddle()
    end = stuck.paths["exact gradient"][-1]
    return Lesson(
        "minima",
        "Local minima and saddle points",
        _draw_minima(starts, ends, stuck),
        (
            f"Of {len(starts)} evenly spaced starts on the quartic {in_right} end in the right "
            f"valley at x = {right:.2f}, {heights[1] - heights[0]:.2f} higher than the left one at "
            f"{left:.2f}: which side of the ridge at {ridge:.2f} a descent begins on decides, and "
            f"nothing in the gradient says that there is a deeper place.",
            "At a saddle the slope is 0 too and it is no valley: the exact gradient runs into it, "
            f"to {np.linalg.norm(end):.0e} beside, and stays for all "
            f"{len(stuck.paths['exact gradient']) - 1} steps, while a start 0.001 to the side is "
            f"half way down after {stuck.escape_steps['started 0.001 beside']} steps, and a "
            "gradient with noise, such as mini-batches give, after "
            f"{stuck.escape_steps['noisy gradient']}.",
        ),
    )


@plot_style()
def _draw_minima(starts: np.ndarray, ends: np.ndarray, stuck: SaddlePaths) -> str:
    figure, (left, right) = panels(2, height=3.1, width_ratios=(1, 1.15))
    x = np.linspace(-2.3, 2.3, 200)
    left.plot(x, quartic(x[None]), color=COLOURS[5], linestyle="-", linewidth=1.2)
    sides = ends > valleys()[1]
    for place, (words, side) in enumerate((("ends left", False), ("ends right", True))):
        chosen = starts[sides == side]
        left.plot(
            chosen,
            quartic(chosen[None]),
            MARKERS[place],
            color=COLOURS[place * 3],
            markersize=4,
            label=words,
        )
    left.legend(loc="upper center")
    label(left, "start x (no unit)", "height f(x) (no unit)", "Where a start leads")
    grid = np.meshgrid(np.linspace(-0.5, 1.6, 30), np.linspace(-1.35, 1.8, 40))
    levels = np.arange(-0.4, 2.9, 0.4).round(1)
    shown = right.contourf(*grid, saddle(np.array(grid)), levels, cmap="Greys", vmin=-0.4, vmax=7)
    figure.colorbar(shown, ax=right, label="height (no unit)")
    for place, (name, path) in enumerate(stuck.paths.items()):
        colour = COLOURS[place]
        right.plot(*path.T, color=colour, linestyle=DASHES[place], label=name)
        right.plot(*path[-1], MARKERS[place], color=colour, markersize=6)
    right.grid(visible=False)
    right.legend(loc="upper right")
    label(right, "x (no unit)", "y (no unit)", "Around a saddle at (0, 0)")
    return as_svg(
        figure,
        "Left: starts on the quartic marked by the valley in which they end. Right: three "
        "descents to a saddle; the exact one stops there, the two others leave it for a valley.",
    )
