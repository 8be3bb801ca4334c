"""Lessons on activations: a fit with and without them, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from msgspec.structs import replace

from course.foundations.lesson import Lesson, LessonData
from model.inference import ACTIVATIONS, ActivationName
from model.training import Head, TrainingConfig, build_network, dense_layers
from model.training.ensemble import MemberSpec, fit_ensemble, gradients
from pipelines.html import COLOURS, as_svg, label, panels, plot_style

LINEAR_HEAD = Head(1, "linear")


class SineFit(NamedTuple):
    """Networks fitted to a sine from several starts.

    Attributes:
        best: (n,), the output of the network with the smallest error.
        errors: (starts,), root mean square errors.
    """

    best: np.ndarray
    errors: np.ndarray


def fit_sine(activation: ActivationName, x: np.ndarray, starts: int = 5) -> SineFit:
    """Fit networks with two hidden layers of 16 units to sin(x).

    Args:
        activation: the activation of the hidden layers.
        x: (n,), in radians.
        starts: the number of networks, each from other initial weights.
    """
    config = TrainingConfig(
        hidden=(16, 16),
        activation=activation,
        initial_weights="he",
        loss="squared_error",
        l2=0.0,
        learning_rate=5e-3,
        batch_size="all",
        epochs=1_500,
    )
    members = [MemberSpec(replace(config, seed=seed)) for seed in range(starts)]
    predictions = fit_ensemble(x[:, None], np.sin(x), members, head=LINEAR_HEAD).predict(x[:, None])
    errors = np.sqrt(np.mean((predictions - np.sin(x)) ** 2, axis=1))
    return SineFit(predictions[int(errors.argmin())], errors)


def sine(_: LessonData) -> Lesson:
    """Return the lesson on a sine: without an activation, two layers are one straight line."""
    x = np.linspace(-np.pi, np.pi, 128)
    fits = {name: fit_sine(name, x) for name in ("linear", "relu")}
    slope, intercept = np.polyfit(x, np.sin(x), 1)
    line = slope * x + intercept
    deviation = float(np.abs(fits["linear"].best - line).max())
    line_error = float(np.sqrt(np.mean((line - np.sin(x)) ** 2)))
    linear, relu = fits["linear"].errors, fits["relu"].errors
    return Lesson(
        "sine",
        "Without ReLU two layers cannot follow a sine",
        _draw_sine(x, fits, line),
        (
            f"Two hidden layers of 16 units without an activation multiply out to one straight "
            f"line: the best of {len(linear)} starts ends {deviation:.0e} from the line of least "
            f"squares at most, with its error of {linear.min():.3f} (the line's: "
            f"{line_error:.3f}).",
            f"The same layers with ReLU between them bend at each unit and leave an error of "
            f"{relu.min():.3f} in the best and {relu.max():.3f} in the worst start (root mean "
            f"square, where the sine itself has {np.sqrt(np.mean(np.sin(x) ** 2)):.3f}).",
        ),
    )


@plot_style()
def _draw_sine(x: np.ndarray, fits: dict[str, SineFit], line: np.ndarray) -> str:
    figure, axes = panels(2, sharey=True)
    titles = {"linear": "No activation", "relu": "ReLU"}
    for ax, (name, fit) in zip(axes, fits.items(), strict=True):
        ax.plot(x, np.sin(x), color=COLOURS[5], linestyle="-", linewidth=3, label="sine")
        ax.plot(x, fit.best, color=COLOURS[0], linestyle="-", label="network")
        if name == "linear":
            ax.plot(x, line, color=COLOURS[3], linestyle=(0, (3, 3)), label="least squares")
        ax.set_ylim(-1.25, 1.6)
        ax.legend(loc="upper left", ncols=2)
        label(ax, "x (radians)", "output (no unit)" if name == "linear" else "", titles[name])
    return as_svg(
        figure,
        "Left, a network without activations lies on the straight line of least squares "
        "through the sine; right, with ReLU it lies on the sine.",
    )


def value_and_derivative(
    function: Callable[[Any], Any], x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return an elementwise function and its derivative at x, both (n,), by the backend."""

    def total(inputs: Sequence[Any]) -> tuple[Any, Any]:
        values = function(inputs[0])
        return ops.sum(values), values

    values, (slopes,) = gradients(total, [ops.convert_to_tensor(x)])
    return ops.convert_to_numpy(values), ops.convert_to_numpy(slopes)


def activation_curve(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an activation and its derivative at x, both (n,).

    Softmax is the first output for the two inputs (x, 0).
    """
    function = keras.activations.get(name)
    if name != "softmax":
        return value_and_derivative(function, x)
    return value_and_derivative(
        lambda x: function(ops.stack([x, ops.zeros_like(x)], axis=-1))[:, 0], x
    )


def keras_default_activation() -> str:
    """Return the name of the activation of a Keras dense layer that was built without one."""
    dense = type(dense_layers(build_network(TrainingConfig(), 1))[0])
    return dense(1).activation.__name__


def activation(_: LessonData) -> Lesson:
    """Return the lesson on the activations and their derivatives."""
    x = np.linspace(-5, 5, 401)
    curves = {name: activation_curve(name, x) for name in ACTIVATIONS}
    middle = len(x) // 2
    steepest = {name: float(slopes.max()) for name, (_, slopes) in curves.items()}
    at_end = {name: float(slopes[-1]) for name, (_, slopes) in curves.items()}
    difference = float(np.abs(curves["softmax"][0] - curves["sigmoid"][0]).max())
    default = keras_default_activation()
    return Lesson(
        "activations",
        "The activations and their derivatives",
        _draw_activations(x, curves),
        (
            "The derivative is what a gradient is multiplied by on its way back: the sigmoid's is "
            f"at most {steepest['sigmoid']:.2f} and tanh's {steepest['tanh']:.2f}, both at 0, and "
            f"at {x[-1]:g} they are down to {at_end['sigmoid']:.4f} and {at_end['tanh']:.5f}; "
            f"ReLU's stays {at_end['relu']:.0f} on the right and is {curves['relu'][1][0]:.0f} on "
            f"the left, where leaky ReLU lets {curves['leaky_relu'][1][0]:.1f} through.",
            "Softmax takes all units of a layer together, and of two inputs x and 0 it is the "
            f"sigmoid of x to within {difference:.0e}; at 0 ReLU has no derivative, and the "
            f"backend gives {curves['relu'][1][middle]:.0f}.",
        ),
        f"A Keras layer of which no activation is said is not ReLU: asked in this run, Keras "
        f"answers “{default}”, which is no bend at all.",
    )


@plot_style()
def _draw_activations(x: np.ndarray, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> str:
    n_columns = 3
    figure, axes = panels(n_columns, -(-len(curves) // n_columns), height=1.8, sharex=True)
    for ax in axes[len(curves) :]:
        ax.set_visible(False)
    titles = {"relu": "ReLU", "leaky_relu": "Leaky ReLU", "softmax": "Softmax of (x, 0), first"}
    for index, (ax, (name, (values, slopes))) in enumerate(zip(axes, curves.items(), strict=False)):
        ax.plot(x, values, label="activation")
        ax.plot(x, slopes, label="derivative")
        limits = (-0.15, 1.35) if name in ("sigmoid", "softmax") else (-1.4, 2.6)
        ax.set_ylim(*limits)
        if index == 0:
            ax.legend(loc="lower right")
        is_lowest = index + n_columns >= len(curves)
        ax.tick_params(labelbottom=is_lowest)
        x_label = "sum x of the unit" if is_lowest else ""
        y_label = "value (no unit)" if index % n_columns == 0 else ""
        label(ax, x_label, y_label, titles.get(name, name.capitalize()))
    return as_svg(figure, f"Panels, each an activation and its derivative: {', '.join(curves)}.")
