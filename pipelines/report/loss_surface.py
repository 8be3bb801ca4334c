"""The training loss around the trained weights.

It is computed along random directions in weight space. Each direction is scaled, unit by unit, to
the norm of the network's own weights, because otherwise the picture would depend on their scale (Li
and others, "Visualizing the loss landscape of neural nets", 2018). A unit's bias belongs to its
weight vector.
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
"""Largest step, in norms of the network's own weights."""
N_LINES = 20
MAX_RECORDS = 1_000

Weights = list[np.ndarray]


def random_direction(weights: Sequence[np.ndarray], rng: np.random.Generator) -> Weights:
    """Draw a random direction with, for every unit, the norm of that unit's weights.

    Args:
        weights: kernel (inputs, units), bias (units,), kernel, bias, …
        rng: the random generator.

    Returns:
        Arrays of the same shapes.
    """
    direction: Weights = []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        unit_weights = np.concatenate([kernel, bias[None]])
        step = rng.standard_normal(unit_weights.shape)
        step *= np.linalg.norm(unit_weights, axis=0) / np.linalg.norm(step, axis=0)
        direction += [step[:-1], step[-1]]
    return direction


def loss_along(
    context: ReportContext, directions: Sequence[Weights], steps: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the training loss at weights + steps[0] * directions[0] + …

    Args:
        context: the training that the report is about; at most ``MAX_RECORDS`` of its records are
            used.
        directions: arrays of the shapes of the weights.
        steps: (m,) for every direction.

    Returns:
        float64 (m,), with the penalty and the weight of the positive class.
    """
    points = []
    for index, weight in enumerate(context.weights):
        offsets = [
            direction[index][..., None] * step
            for direction, step in zip(directions, steps, strict=True)
        ]
        points.append(weight[..., None] + sum(offsets))
    rows = context.rows
    if len(rows) > MAX_RECORDS:
        rows = np.random.default_rng(SEED).choice(rows, MAX_RECORDS, replace=False)
    features = context.encoding.encode(context.table.values[rows])
    return training_loss(context.config, points, features, context.table.labels[rows])


def loss_surface(context: ReportContext) -> Section:
    """Return the section on the loss surface: a plane, and lines in further random directions.

    Args:
        context: the training that the report is about.
    """
    rng = np.random.default_rng(SEED)
    plane = [random_direction(context.weights, rng) for _ in range(2)]
    axis = np.linspace(-MAX_STEP, MAX_STEP, N_GRID)
    a, b = (grid.reshape(-1) for grid in np.meshgrid(axis, axis))
    surface = loss_along(context, plane, [a, b]).reshape(N_GRID, N_GRID)
    lines = np.array(
        [
            loss_along(context, [random_direction(context.weights, rng)], [axis])
            for _ in range(N_LINES)
        ]
    )
    loss, lowest = surface[N_GRID // 2, N_GRID // 2], min(surface.min(), lines.min())
    return Section(
        "surface",
        "The loss around the solution",
        [
            f"The loss of the training records is {format_number(float(loss))} at the weights that "
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
    contours = plane.contour(
        axis, axis, surface, levels=levels[1:-1:2], colors="white", linewidths=0.7
    )
    plane.clabel(contours, fmt="%.2f", fontsize=7)
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
