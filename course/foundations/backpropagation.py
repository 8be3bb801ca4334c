"""The chain rule on a graph that fits on a page, and on the network's 497 parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from course.foundations.lesson import Lesson, LessonData, format_numbers
from model.training import TrainingConfig, draw_kernels
from model.training.ensemble import ProgramSpec, forward_pass, gradients, record_losses
from pipelines.html import COLOURS, FILLS, MARKERS, as_svg, label, panels, plot_style


class Node(NamedTuple):
    """A quantity of the small graph, on the way forward and on the way back.

    Attributes:
        local: its derivative by the quantity before it.
        gradient: the derivative of the loss by it.
    """

    label: str
    value: float
    local: float
    gradient: float


def chain(w: float = 0.6, b: float = -0.4, x: float = 1.5, y: float = 1.0) -> list[Node]:
    """w → z = wx + b → a = tanh z → e = a − y → loss = e², forward and then backward."""
    z = w * x + b
    a = float(np.tanh(z))
    e = a - y
    steps = [
        ("w", w, 1.0),
        ("z = w·x + b", z, x),
        ("a = tanh z", a, 1 - a**2),
        ("e = a − y", e, 1.0),
        ("L = e²", e**2, 2 * e),
    ]
    nodes: list[Node] = []
    back = 1.0
    for words, value, local in reversed(steps):
        nodes.insert(0, Node(words, value, local, back))
        back *= local
    return nodes


def chain_by_backend(w: float = 0.6, b: float = -0.4, x: float = 1.5, y: float = 1.0) -> float:
    """dL/dw of the same graph, as the backend that trains works it out."""

    def loss(weights: Any) -> tuple[Any, Any]:
        value = ops.sum(ops.square(ops.tanh(weights[0] * x + b) - y))
        return value, value

    _, (found,) = gradients(loss, [ops.convert_to_tensor(np.array([w]))])
    return float(ops.convert_to_numpy(found)[0])


def chain_rule(_: LessonData) -> Lesson:
    """The chain rule on a small graph."""
    nodes = chain()
    by_backend = chain_by_backend()
    factors = " × ".join(f"{node.local:.4f}" for node in nodes[:0:-1])
    return Lesson(
        "chain-rule",
        "The chain rule on a small graph",
        _draw_chain(nodes),
        (
            f"One weight w = {nodes[0].value:g}, one input x = {nodes[1].local:g}, tanh and a "
            f"squared error: forward each step keeps its value, up to the loss of "
            f"{nodes[-1].value:.4f}; backward each multiplies what comes from the right by its own "
            f"derivative, {factors} = {nodes[0].gradient:.4f}.",
            f"The backend that trains the networks gives {by_backend:.4f} for the same derivative, "
            f"{abs(by_backend - nodes[0].gradient):.0e} away; that is all that backpropagation is, "
            "with sums where a quantity has several successors.",
        ),
    )


@plot_style()
def _draw_chain(nodes: list[Node]) -> str:
    figure, (axes,) = panels(height=1.7)
    axes.set_axis_off()
    axes.set_xlim(-0.5, len(nodes) - 0.5)
    axes.set_ylim(-1.1, 1.1)
    box = {"boxstyle": "round,pad=0.5", "edgecolor": COLOURS[0], "facecolor": FILLS[0]}
    for place, node in enumerate(nodes):
        words = format_numbers(f"{node.label}\n{node.value:.4f}")
        axes.text(place, 0, words, ha="center", va="center", bbox=box)
        last = place == len(nodes) - 1
        gradient = (
            "dL/dL = 1" if last else format_numbers(f"dL/d{node.label[0]} = {node.gradient:.4f}")
        )
        axes.text(place, -0.85, gradient, ha="center", va="center", color=COLOURS[1])
        if place:
            arrow = {"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 1.1}
            axes.annotate("", (place - 0.33, 0.14), (place - 0.67, 0.14), arrowprops=arrow)
            back = {**arrow, "color": COLOURS[1], "linestyle": (0, (3, 2))}
            axes.annotate("", (place - 0.67, -0.14), (place - 0.33, -0.14), arrowprops=back)
            local = format_numbers(f"× {node.local:.4f}")
            axes.text(place - 0.5, 0.5, local, ha="center", va="bottom")
    axes.text(-0.45, 1.1, "above: each step's own derivative", va="top", fontsize=8)
    axes.text(
        -0.45, -0.55, "below: the loss's derivative", va="center", fontsize=8, color=COLOURS[1]
    )
    return as_svg(
        figure,
        "Five quantities in a row with their values, the derivative of every step, and the "
        "derivative of the loss by each: "
        + ", ".join(f"{n.label} {n.value:.4f}, {n.gradient:.4f}" for n in nodes),
    )


class GradientCheck(NamedTuple):
    """Backpropagated gradients and central differences of the same loss.

    Attributes:
        exact: (d,), by the backend.
        numeric: (d,), central differences with the best of the widths.
        widths, errors: (k,), and the largest difference of any parameter with each width.
    """

    exact: np.ndarray
    numeric: np.ndarray
    widths: np.ndarray
    errors: np.ndarray

    @property
    def best(self) -> int:
        """Place of the width with the smallest error."""
        return int(np.argmin(self.errors))


def check_gradients(data: LessonData) -> GradientCheck:
    """The default network's 497 gradients on the whole table, against finite differences.

    All moved copies of the network stand side by side as members of one program, 2 · 497 a width.
    """
    plan = ProgramSpec("tanh", "sigmoid", "cross_entropy", "sgd", len(data.labels), False)
    kernels = draw_kernels(TrainingConfig(initial_weights="glorot"), data.features.shape[1])
    shapes = [shape for k in kernels for shape in (k.shape, (k.shape[1],))]
    flat = np.concatenate([np.append(k.ravel(), np.zeros(k.shape[1])) for k in kernels])
    features = ops.convert_to_tensor(data.features[None])
    labels = ops.convert_to_tensor(data.labels.astype(float)[None, :, None])

    def loss(given: Any) -> tuple[Any, Any]:
        gamma = np.zeros((1, given[0].shape[-1]))
        own = ops.mean(
            record_losses(plan, forward_pass(plan, given, features), labels, gamma), axis=1
        )
        return ops.sum(own), own

    def unpacked(members: np.ndarray) -> list[Any]:
        """(d, m) → kernel, bias, …: (1, inputs, units, m) and (1, units, m)"""
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        parts = np.split(members, ends)
        return [
            ops.convert_to_tensor(part.reshape(1, *shape, -1))
            for part, shape in zip(parts, shapes, strict=True)
        ]

    _, found = gradients(loss, unpacked(flat[:, None]))
    exact = np.concatenate([ops.convert_to_numpy(gradient).ravel() for gradient in found])
    widths, tried = 10.0 ** np.arange(-10, 0), []
    for width in widths:
        moved = width * np.eye(len(flat))
        sides = [loss(unpacked(flat[:, None] + sign * moved))[1] for sign in (1, -1)]
        up, down = (ops.convert_to_numpy(side)[0] for side in sides)
        tried.append((up - down) / (2 * width))
    errors = np.abs(np.array(tried) - exact).max(axis=1)
    return GradientCheck(exact, tried[int(np.argmin(errors))], widths, errors)


def gradient_check(data: LessonData) -> Lesson:
    """Backpropagated gradients against finite differences."""
    found = check_gradients(data)
    best = found.best
    rounding, bending = found.errors[0], found.errors[-1]
    return Lesson(
        "differences",
        "Backpropagated gradients against finite differences",
        _draw_differences(found),
        (
            f"All {len(found.exact)} gradients of a network with 16 tanh units, backpropagated in "
            f"one go, differ from the slopes measured by moving one parameter at a time by "
            f"±{found.widths[best]:.0e} by {found.errors[best]:.0e} at most, the largest gradient "
            f"being {np.abs(found.exact).max():.3f}.",
            f"The width matters: with ±{found.widths[0]:.0e} the rounding of float64 makes the "
            f"largest difference {rounding:.0e}, and with ±{found.widths[-1]:.1f} the bend of the "
            f"loss makes it {bending:.0e}; and it took {2 * len(found.exact)} evaluations of the "
            f"network a width, where going backward took one.",
        ),
    )


@plot_style()
def _draw_differences(found: GradientCheck) -> str:
    figure, (left, right) = panels(2)
    ends = [float(found.exact.min()), float(found.exact.max())]
    left.plot(ends, ends, color=COLOURS[5], linestyle="-", linewidth=1)
    left.plot(found.exact, found.numeric, MARKERS[0], color=COLOURS[1], markersize=2.5)
    label(
        left, "backpropagated (nats)", "finite difference (nats)", f"{len(found.exact)} gradients"
    )
    right.loglog(found.widths, found.errors, marker="o")
    label(right, "width h of the difference (no unit)", "largest difference (nats)", "Which width")
    return as_svg(
        figure,
        "Left: measured slopes against backpropagated gradients lie on the line of "
        "equality. Right: the difference by the width, largest where it is very small or large.",
    )
