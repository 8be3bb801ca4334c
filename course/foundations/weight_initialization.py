"""Lessons on initial weights: initializers, and vanishing and exploding gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from msgspec.structs import replace

from course.foundations.lesson import Lesson, LessonData
from model.evaluation import prevalence_log_loss
from model.training import InitialWeights, TrainingConfig, build_network, dense_layers, draw_kernel
from model.training.ensemble import (
    MemberSpec,
    ProgramSpec,
    fit_ensemble,
    forward_pass,
    gradients,
    record_losses,
)
from pipelines.html import COLOURS, DASHES, FILLS, MARKERS, as_svg, label, panels, plot_style

INITIALIZERS: tuple[InitialWeights, ...] = ("zeros", "normal", "glorot", "he")
INITIALIZER_NAMES: dict[InitialWeights, str] = {
    "zeros": "zeros",
    "normal": "normal (0.05)",
    "glorot": "Glorot",
    "he": "He",
}


class InitializerComparison(NamedTuple):
    """Networks trained from different initial weights.

    Attributes:
        losses: by initializer, (epochs,) training losses, the mean over seeds.
        largest_weight: the largest absolute weight of the first layer after training from zeros.
        probability_range: the lowest and the highest probability that this network predicts.
    """

    losses: dict[InitialWeights, np.ndarray]
    largest_weight: float
    probability_range: tuple[float, float]


def compare_initializers(data: LessonData, epochs: int, seeds: int = 5) -> InitializerComparison:
    """Train a network with two hidden layers of 16 ReLU units from each initializer."""
    config = TrainingConfig(hidden=(16, 16), l2=0.0, epochs=epochs)
    members = [
        MemberSpec(replace(config, initial_weights=kind, seed=seed))
        for kind in INITIALIZERS
        for seed in range(seeds)
    ]
    ensemble = fit_ensemble(data.features, data.labels, members)
    means = ensemble.losses().reshape(epochs, len(INITIALIZERS), seeds).mean(axis=2)
    probabilities = ensemble.predict(data.features)[0]
    return InitializerComparison(
        {kind: means[:, index] for index, kind in enumerate(INITIALIZERS)},
        float(np.abs(ensemble.weights(0)[0]).max()),
        (float(probabilities.min()), float(probabilities.max())),
    )


def keras_kernel(n_inputs: int, units: int) -> tuple[str, np.ndarray]:
    """Return the name of Keras's default initializer, and a kernel that it drew."""
    dense = type(dense_layers(build_network(TrainingConfig(), n_inputs))[0])
    keras.utils.set_random_seed(0)
    layer = dense(units)
    layer.build((None, n_inputs))
    return type(layer.kernel_initializer).__name__, np.asarray(layer.get_weights()[0])


def initializers(data: LessonData) -> Lesson:
    """Return the lesson on zero, normal, Glorot and He initial weights."""
    comparison = compare_initializers(data, 40)
    n_inputs, units = data.features.shape[1], 16
    name, kernel = keras_kernel(n_inputs, units)
    limit = np.sqrt(6 / (n_inputs + units))
    prevalence = data.labels.mean()
    early, late = (
        ", ".join(
            f"{INITIALIZER_NAMES[kind]} {losses[epoch]:.3f}"
            for kind, losses in comparison.losses.items()
            if kind != "zeros"
        )
        for epoch in (4, -1)
    )
    return Lesson(
        "starts",
        "Zero, normal, Glorot and He initial weights",
        _draw_starts(comparison, kernel, limit, (n_inputs, units)),
        (
            "From zeros a network of two hidden ReLU layers never begins: every unit gives 0 and "
            "gets no gradient, after 40 epochs the largest weight of the first layer is "
            f"{comparison.largest_weight:g}, and its answer is "
            f"{comparison.probability_range[0]:.3f} for everybody, near the share of the ill "
            f"({prevalence:.3f}), at a loss of {comparison.losses['zeros'][-1]:.3f} where that "
            f"share's own is {prevalence_log_loss(data.labels):.3f}.",
            f"Random weights break the tie, and how large they are sets the pace: in the fifth "
            f"epoch the training losses are {early} (means of five starts), and in the last "
            f"{late}; so shallow a network trains from any of them.",
        ),
        "Keras's default first weights are not normal and not He's: asked in this run, it answers "
        f"{name}, and the {kernel.size} weights it drew lie within ±{np.abs(kernel).max():.3f}, "
        f"the limit √(6 / ({n_inputs} + {units})) being {limit:.3f}.",
    )


@plot_style()
def _draw_starts(
    comparison: InitializerComparison, kernel: np.ndarray, limit: float, shape: tuple[int, int]
) -> str:
    figure, (left, right) = panels(2, height=3.1)
    for index, (kind, losses) in enumerate(comparison.losses.items()):
        left.plot(
            range(1, len(losses) + 1),
            losses,
            marker=MARKERS[index],
            markevery=(index, 8),
            label=INITIALIZER_NAMES[kind],
        )
    left.set_ylim(bottom=0)
    left.legend(title="first weights")
    label(left, "epoch (passes over the table)", "training loss (nats)", "Where it leads")
    bins = np.linspace(-1, 1, 41).tolist()
    right.hist(
        kernel.ravel(),
        bins=bins,
        color=FILLS[1],
        edgecolor=COLOURS[0],
        linewidth=0.4,
        label="Keras's default",
    )
    for index, initializer in enumerate(INITIALIZERS[:0:-1]):
        weights = draw_kernel(initializer, shape, seed=0, layer=0)
        right.hist(
            weights.ravel(),
            bins=bins,
            histtype="step",
            color=COLOURS[index],
            linestyle=DASHES[index],
            linewidth=1.4,
            label=f"ours: {INITIALIZER_NAMES[initializer]}",
        )
    right.axvline(-limit, color=COLOURS[5], linewidth=0.9, linestyle=":")
    right.axvline(limit, color=COLOURS[5], linewidth=0.9, linestyle=":")
    right.set_ylim(0, 260)
    right.legend(loc="upper center", ncols=2, columnspacing=1)
    label(
        right,
        "first weight (no unit)",
        "weights (count)",
        f"What is drawn, {shape[0]} × {shape[1]}",
    )
    return as_svg(
        figure,
        "Left: training losses from four kinds of first weights; from zeros it stays where it "
        "begins. Right: histograms of the first weights; Keras's default lies within Glorot's "
        "limits.",
    )


class DeepNetwork(NamedTuple):
    """A deep network before its first step.

    Attributes:
        label: the name in the figure.
        activation: the activation of the hidden layers.
        initializer: the initializer.
        scale: a factor for the initial weights.
    """

    label: str
    activation: str
    initializer: InitialWeights
    scale: float = 1.0


DEPTH, WIDTH = 20, 32
DEEP_NETWORKS = (
    DeepNetwork("sigmoid, Glorot", "sigmoid", "glorot"),
    DeepNetwork("ReLU, normal 0.05", "relu", "normal"),
    DeepNetwork("tanh, Glorot", "tanh", "glorot"),
    DeepNetwork("ReLU, He", "relu", "he"),
    DeepNetwork("ReLU, 2 × He", "relu", "he", 2.0),
    DeepNetwork("tanh, 3 × Glorot", "tanh", "glorot", 3.0),
)


def gradient_norms(data: LessonData, network: DeepNetwork, seeds: int = 9) -> np.ndarray:
    """Return (DEPTH,), the gradient norm of each hidden layer's kernel, median over the seeds."""
    shapes = [(data.features.shape[1], WIDTH), *[(WIDTH, WIDTH)] * (DEPTH - 1), (WIDTH, 1)]
    program = ProgramSpec(
        network.activation, "sigmoid", "cross_entropy", "sgd", len(data.labels), False
    )
    weights = []
    for layer, shape in enumerate(shapes):
        layer_kernels = [
            draw_kernel(network.initializer, shape, seed=seed, layer=layer) for seed in range(seeds)
        ]
        weights.append(np.stack(layer_kernels, axis=-1)[None] * network.scale)
        weights.append(np.zeros((1, shape[1], seeds)))
    features = ops.convert_to_tensor(data.features[None])
    labels = ops.convert_to_tensor(data.labels.astype(float)[None, :, None])

    def loss(weights: Any) -> tuple[Any, Any]:
        outputs = forward_pass(program, weights, features)
        losses = ops.mean(record_losses(program, outputs, labels, np.zeros((1, seeds))), axis=1)
        return ops.sum(losses), losses

    _, gradient_tensors = gradients(loss, [ops.convert_to_tensor(weight) for weight in weights])
    kernels = [ops.convert_to_numpy(gradient) for gradient in gradient_tensors[: 2 * DEPTH : 2]]
    return np.array([np.median(np.sqrt((kernel[0] ** 2).sum(axis=(0, 1)))) for kernel in kernels])


def vanishing(data: LessonData) -> Lesson:
    """Return the lesson on exploding and vanishing gradients."""
    norms = {network.label: gradient_norms(data, network) for network in DEEP_NETWORKS}
    ratio = {name: lengths[0] / lengths[-1] for name, lengths in norms.items()}
    middle = {name: lengths[DEPTH // 2] for name, lengths in norms.items()}
    return Lesson(
        "vanishing",
        "Exploding and vanishing gradients",
        _draw_vanishing(norms),
        (
            f"In a network of {DEPTH} hidden layers of {WIDTH} units, before its first step, the "
            f"gradient of the first layer is {ratio['sigmoid, Glorot']:.0e} times as long as that "
            f"of the last with sigmoids, and {ratio['tanh, 3 × Glorot']:.0f} times with tanh and "
            "three times Glorot's weights: the one vanishes on its way back, the other explodes, "
            f"while tanh with Glorot's ({ratio['tanh, Glorot']:.1f}) and ReLU with He's "
            f"({ratio['ReLU, He']:.1f}) keep their length.",
            "With ReLU a wrong size shows otherwise than the picture in most books: the first "
            f"layer's gradient is {ratio['ReLU, normal 0.05']:.1f} times the last's with normal "
            f"weights of 0.05 and {ratio['ReLU, 2 × He']:.1f} times with twice He's, but all are "
            f"{middle['ReLU, normal 0.05']:.0e} and {middle['ReLU, 2 × He']:.0e} long where He's "
            f"are {middle['ReLU, He']:.1f}, because every layer's gradient holds the factors of "
            "all layers, those before it in the signal and those behind it in what comes back.",
        ),
    )


@plot_style()
def _draw_vanishing(norms: dict[str, np.ndarray]) -> str:
    figure, (axes,) = panels(height=3.4)
    for index, (name, lengths) in enumerate(norms.items()):
        axes.plot(range(1, DEPTH + 1), lengths, marker=MARKERS[index], label=name)
    axes.set_yscale("log")
    axes.set_xticks(range(1, DEPTH + 1, 2))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="activation, first weights")
    label(axes, "hidden layer, 1 is next to the inputs", "length of its gradient (nats)")
    return as_svg(
        figure,
        "Length of the gradient by layer of six deep networks: one vanishes and one grows "
        "towards the inputs, and four are level: two near 0.1, one far below and one far above.",
    )
