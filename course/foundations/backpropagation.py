"""Lessons on backpropagation: the chain rule, and a check of the network's 497 gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops

from course.foundations.lesson import Lesson, LessonData, format_numbers
from model.training import TrainingConfig, draw_kernels
from model.training.ensemble import ProgramSpec, forward_pass, gradients, record_losses
from pipelines.html import COLOURS, FILLS, MARKERS, as_svg, label, panels, plot_style


class Node(NamedTuple):
    """A quantity of the small graph, with the results of the forward and the backward pass.

    Attributes:
        label: the quantity and its formula.
        value: its value.
        local: its derivative with respect to the quantity before it.
        gradient: the derivative of the loss with respect to it.
    """

    label: str
    value: float
    local: float
    gradient: float


def chain(w: float = 0.6, b: float = -0.4, x: float = 1.5, y: float = 1.0) -> list[Node]:
    """Compute w → z = wx + b → a = tanh z → e = a − y → loss = e², forward and then backward."""
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
    gradient = 1.0
    for text, value, local in reversed(steps):
        nodes.insert(0, Node(text, value, local, gradient))
        gradient *= local
    return nodes


def chain_by_backend(w: float = 0.6, b: float = -0.4, x: float = 1.5, y: float = 1.0) -> float:
    """Return dL/dw of the same graph, computed by the backend that trains the networks."""

    def loss(weights: Any) -> tuple[Any, Any]:
        value = ops.sum(ops.square(ops.tanh(weights[0] * x + b) - y))
        return value, value

    _, (gradient,) = gradients(loss, [ops.convert_to_tensor(np.array([w]))])
    return float(ops.convert_to_numpy(gradient)[0])


def chain_rule(_: LessonData) -> Lesson:
    """Return the lesson on the chain rule."""
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
    box_style = {"boxstyle": "round,pad=0.5", "edgecolor": COLOURS[0], "facecolor": FILLS[0]}
    for position, node in enumerate(nodes):
        text = format_numbers(f"{node.label}\n{node.value:.4f}")
        axes.text(position, 0, text, ha="center", va="center", bbox=box_style)
        last = position == len(nodes) - 1
        gradient = (
            "dL/dL = 1" if last else format_numbers(f"dL/d{node.label[0]} = {node.gradient:.4f}")
        )
        axes.text(position, -0.85, gradient, ha="center", va="center", color=COLOURS[1])
        if position:
            arrow = {"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 1.1}
            axes.annotate("", (position - 0.33, 0.14), (position - 0.67, 0.14), arrowprops=arrow)
            back_arrow = {**arrow, "color": COLOURS[1], "linestyle": (0, (3, 2))}
            axes.annotate(
                "", (position - 0.67, -0.14), (position - 0.33, -0.14), arrowprops=back_arrow
            )
            local = format_numbers(f"× {node.local:.4f}")
            axes.text(position - 0.5, 0.5, local, ha="center", va="bottom")
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
        exact: (d,), backpropagated by the backend.
        numeric: (d,), central differences with the best width.
        widths: (k,), the widths of the differences.
        errors: (k,), the largest absolute difference of any gradient for each width.
    """

    exact: np.ndarray
    numeric: np.ndarray
    widths: np.ndarray
    errors: np.ndarray

    @property
    def best(self) -> int:
        """The index of the width with the smallest error."""
        return int(np.argmin(self.errors))


def check_gradients(data: LessonData) -> GradientCheck:
    """Compare the default network's 497 gradients on the whole table with finite differences.

    One ensemble program evaluates all shifted copies of the network, 2 · 497 for each width.
    """
    program = ProgramSpec("tanh", "sigmoid", "cross_entropy", "sgd", len(data.labels), False)
    kernels = draw_kernels(TrainingConfig(initial_weights="glorot"), data.features.shape[1])
    shapes = [shape for k in kernels for shape in (k.shape, (k.shape[1],))]
    flat = np.concatenate([np.append(k.ravel(), np.zeros(k.shape[1])) for k in kernels])
    features = ops.convert_to_tensor(data.features[None])
    labels = ops.convert_to_tensor(data.labels.astype(float)[None, :, None])

    def loss(weights: Any) -> tuple[Any, Any]:
        gamma = np.zeros((1, weights[0].shape[-1]))
        losses = ops.mean(
            record_losses(program, forward_pass(program, weights, features), labels, gamma), axis=1
        )
        return ops.sum(losses), losses

    def unpack(members: np.ndarray) -> list[Any]:
        """Split (d, m) into kernel, bias, …: (1, inputs, units, m) and (1, units, m)."""
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
        parts = np.split(members, ends)
        return [
            ops.convert_to_tensor(part.reshape(1, *shape, -1))
            for part, shape in zip(parts, shapes, strict=True)
        ]

    _, gradient_tensors = gradients(loss, unpack(flat[:, None]))
    exact = np.concatenate(
        [ops.convert_to_numpy(gradient).ravel() for gradient in gradient_tensors]
    )
    widths, estimates = 10.0 ** np.arange(-10, 0), []
    for width in widths:
        steps = width * np.eye(len(flat))
        shifted_losses = [loss(unpack(flat[:, None] + sign * steps))[1] for sign in (1, -1)]
        up, down = (ops.convert_to_numpy(losses)[0] for losses in shifted_losses)
        estimates.append((up - down) / (2 * width))
    errors = np.abs(np.array(estimates) - exact).max(axis=1)
    return GradientCheck(exact, estimates[int(np.argmin(errors))], widths, errors)


def gradient_check(data: LessonData) -> Lesson:
    """Return the lesson on backpropagated gradients and finite differences."""
    check = check_gradients(data)
    best = check.best
    rounding, curvature = check.errors[0], check.errors[-1]
    return Lesson(
        "differences",
        "Backpropagated gradients against finite differences",
        _draw_differences(check),
        (
            f"All {len(check.exact)} gradients of a network with 16 tanh units, backpropagated in "
            f"one go, differ from the slopes measured by moving one parameter at a time by "
            f"±{check.widths[best]:.0e} by {check.errors[best]:.0e} at most, the largest gradient "
            f"being {np.abs(check.exact).max():.3f}.",
            f"The width matters: with ±{check.widths[0]:.0e} the rounding of float64 makes the "
            f"largest difference {rounding:.0e}, and with ±{check.widths[-1]:.1f} the bend of the "
            f"loss makes it {curvature:.0e}; and it took {2 * len(check.exact)} evaluations of the "
            f"network a width, where going backward took one.",
        ),
    )


@plot_style()
def _draw_differences(check: GradientCheck) -> str:
    figure, (left, right) = panels(2)
    ends = [float(check.exact.min()), float(check.exact.max())]
    left.plot(ends, ends, color=COLOURS[5], linestyle="-", linewidth=1)
    left.plot(check.exact, check.numeric, MARKERS[0], color=COLOURS[1], markersize=2.5)
    label(
        left, "backpropagated (nats)", "finite difference (nats)", f"{len(check.exact)} gradients"
    )
    right.loglog(check.widths, check.errors, marker="o")
    label(right, "width h of the difference (no unit)", "largest difference (nats)", "Which width")
    return as_svg(
        figure,
        "Left: measured slopes against backpropagated gradients lie on the line of "
        "equality. Right: the difference by the width, largest where it is very small or large.",
    )
