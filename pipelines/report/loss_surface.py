"""The loss around the solution.

Along random directions in the space of all weights, each scaled unit by unit to the size of the
network's own weights, so that the picture does not depend on how large those are (Li and others,
"Visualizing the loss landscape of neural nets", 2018). A unit's bias counts with its kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.evaluation import SEED
from pipelines.html import COLORMAP, COLOURS, DASHES, as_svg, label, panels, plot_style
from pipelines.report.blocks import FigureBlock, Section, format_number
from pipelines.report.context import ReportContext
from pipelines.report.learning_curves import LOSS_LABELS
from pipelines.report.weight_space import training_loss

N_GRID = 31
MAX_STEP = 1.0
"""As far as the network's own weights are long."""
N_LINES = 20
MAX_RECORDS = 1_000

Weights = list[np.ndarray]


def random_direction(weights: Sequence[np.ndarray], draw: np.random.Generator) -> Weights:
    """A random direction whose part at every unit is as long as that unit's own weights.

    Args:
        weights: kernel (inputs, units), bias (units,), kernel, bias, …
    """
    direction: Weights = []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        own = np.concatenate([kernel, bias[None]])
        step = draw.standard_normal(own.shape)
        step *= np.linalg.norm(own, axis=0) / np.linalg.norm(step, axis=0)
        direction += [step[:-1], step[-1]]
    return direction


def loss_along(
    context: ReportContext, directions: Sequence[Weights], steps: Sequence[np.ndarray]
) -> np.ndarray:
    """float64 (m,): the training loss at weights + steps[0] * directions[0] + …

    Args:
        steps: (m,) for every direction.
    """
    points = []
    for number_, weight in enumerate(context.weights):
        away = [one[number_][..., None] * step for one, step in zip(directions, steps, strict=True)]
        points.append(weight[..., None] + sum(away))
    rows = context.rows
    if len(rows) > MAX_RECORDS:
        rows = np.random.default_rng(SEED).choice(rows, MAX_RECORDS, replace=False)
    features = context.encoding.encode(context.table.values[rows])
    return training_loss(context.config, points, features, context.table.labels[rows])


def loss_surface(context: ReportContext) -> Section:
    """The plane of two random directions, and sections along more of them."""
    draw = np.random.default_rng(SEED)
    plane = [random_direction(context.weights, draw) for _ in range(2)]
    axis = np.linspace(-MAX_STEP, MAX_STEP, N_GRID)
    a, b = (grid.reshape(-1) for grid in np.meshgrid(axis, axis))
    surface = loss_along(context, plane, [a, b]).reshape(N_GRID, N_GRID)
    lines = np.array(
        [
            loss_along(context, [random_direction(context.weights, draw)], [axis])
            for _ in range(N_LINES)
        ]
    )
    here, lowest = surface[N_GRID // 2, N_GRID // 2], min(surface.min(), lines.min())
    return Section(
        "surface",
        "The loss around the solution",
        [
            f"The loss of the training records is {format_number(float(here))} at the weights that "
            f"serve, before any calibration, and {format_number(float(lowest))} at the lowest "
            "point of these sections. Training ends after a number of epochs that was chosen for "
            "records that it has not seen, and need not be at the bottom.",
            _draw_surface(context, axis, surface, lines),
        ],
    )


@plot_style()
def _draw_surface(
    context: ReportContext, axis: np.ndarray, surface: np.ndarray, lines: np.ndarray
) -> FigureBlock:
    figure, (plane, sections) = panels(2, height=3.3)
    levels = np.quantile(surface, np.linspace(0, 1, 13))
    levels = np.unique(np.round(levels, 3))
    if len(levels) < 2:
        levels = np.array([surface.min() - 1e-3, surface.max() + 1e-3])
    plane.contourf(axis, axis, surface, levels=levels, cmap=COLORMAP, extend="both")
    drawn = plane.contour(
        axis, axis, surface, levels=levels[1:-1:2], colors="white", linewidths=0.7
    )
    plane.clabel(drawn, fmt="%.2f", fontsize=7)
    plane.plot(0, 0, marker="*", markersize=11, color="white", markeredgecolor=COLOURS[0])
    plane.grid(visible=False)
    plane.set_aspect("equal")
    label(
        plane, "first direction (lengths of the weights)", "second direction (lengths)", "A plane"
    )
    sections.plot(axis, lines.T, color=COLOURS[5], linestyle=DASHES[0], linewidth=0.8, alpha=0.7)
    sections.plot(axis, np.median(lines, axis=0), color=COLOURS[0], linestyle=DASHES[0])
    sections.axvline(0, color=COLOURS[1], linestyle=DASHES[1], linewidth=1)
    label(
        sections,
        "step (lengths of the weights)",
        f"loss ({LOSS_LABELS[context.config.loss]})",
        f"{len(lines)} other directions",
    )
    return FigureBlock(
        as_svg(figure, "Training loss in a plane through the solution, and along more directions."),
        "Training loss, penalty included, along random directions from the solution (star, dashed "
        "line). A step of 1 changes every unit's weights by as much as they are long. Contours in "
        "the unit of the right panel; its thick line is the median.",
    )
