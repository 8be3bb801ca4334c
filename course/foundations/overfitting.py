"""Lessons on overfitting with early stopping, and on XOR."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from course.foundations.activations import LINEAR_HEAD
from course.foundations.lesson import Lesson, LessonData
from model.evaluation import holdout
from model.inference import ActivationName
from model.training import RECIPES, TrainingConfig, build_network
from model.training.ensemble import Ensemble, MemberSpec, fit_ensemble
from pipelines.evaluation import SEED
from pipelines.html import COLORMAP, COLOURS, FILLS, as_svg, label, panels, plot_style


class Overfit(NamedTuple):
    """Trainings with and without early stopping, on many splits into three parts.

    Attributes:
        training, validation: (epochs,), mean losses of the training and the validation rows.
        best_epochs: (splits,), the epochs whose weights early stopping kept.
        test_losses: (2, splits), losses of the test rows after all epochs, and stopped early.
    """

    training: np.ndarray
    validation: np.ndarray
    best_epochs: np.ndarray
    test_losses: np.ndarray


def overfit(data: LessonData, epochs: int, patience: int, splits: int = 40) -> Overfit:
    """Train the textbook network on many splits, with and without early stopping.

    Each split has three fifths of the patients for training, a fifth for validation and a fifth for
    testing.

    Args:
        data: the table.
        epochs: the number of epochs without early stopping.
        patience: the epochs without improvement after which early stopping ends the training.
        splits: the number of splits.
    """
    labels, groups = data.labels, data.table.groups
    config = replace(RECIPES["textbook"], epochs=epochs)
    early = replace(config, patience=patience, validation_fraction=0.25)
    parts = []
    for number in range(splits):
        remaining, test = holdout(labels, groups, share=0.2, seed=SEED + number)
        train, validation = holdout(
            labels[remaining], groups[remaining], share=0.25, seed=SEED + number
        )
        parts.append((remaining[train], remaining[validation], test))
    features = data.features_of([train for train, _, _ in parts])
    members = [
        MemberSpec(member_config, rows=train, validation_rows=validation, table=number)
        for member_config in (config, early)
        for number, (train, validation, _) in enumerate(parts)
    ]
    ensemble = fit_ensemble(features, labels, members)
    probabilities = np.clip(ensemble.predict(features), 1e-7, 1 - 1e-7).reshape(2, splits, -1)
    losses = -np.where(labels == 1, np.log(probabilities), np.log1p(-probabilities))
    test_losses = np.array(
        [
            [run_losses[number, parts[number][2]].mean() for number in range(splits)]
            for run_losses in losses
        ]
    )
    return Overfit(
        ensemble.losses()[:, :splits].mean(axis=1),
        ensemble.validation_losses()[:, :splits].mean(axis=1),
        ensemble.best_epochs()[splits:],
        test_losses,
    )


def overfitting(data: LessonData) -> Lesson:
    """Return the lesson on overfitting and early stopping."""
    epochs, patience = 400, 20
    fits = overfit(data, epochs, patience)
    lowest = int(np.argmin(fits.validation))
    gains = fits.test_losses[0] - fits.test_losses[1]
    low, high = (int(q) for q in np.quantile(fits.best_epochs, [0.1, 0.9]))
    return Lesson(
        "overfitting",
        "Overfitting and early stopping",
        _draw_overfitting(fits),
        (
            f"Over {gains.size} splits the textbook network's training loss falls all the way to "
            f"{fits.training[-1]:.3f} after {epochs} epochs, while the loss on patients that it "
            f"was not trained on is lowest on average after {lowest + 1}, at "
            f"{fits.validation[lowest]:.3f}, and then rises to {fits.validation[-1]:.3f}: what "
            "it learns from there on is these patients and not the disease.",
            f"Stopped once {patience} epochs brought nothing, with the best weights kept, it takes "
            f"those of epoch {low} to {high} in eight splits of ten, and on a third part, that "
            f"neither training nor stopping saw, its loss is {fits.test_losses[1].mean():.3f} "
            f"against {fits.test_losses[0].mean():.3f}, lower in {int((gains > 0).sum())} of the "
            f"{gains.size} splits.",
        ),
    )


@plot_style()
def _draw_overfitting(fits: Overfit) -> str:
    figure, (left, right) = panels(2, width_ratios=(1.5, 1))
    epochs = np.arange(1, len(fits.training) + 1)
    left.plot(epochs, fits.training, label="patients trained on")
    left.plot(epochs, fits.validation, label="patients watched")
    lowest = int(np.argmin(fits.validation))
    left.plot(lowest + 1, fits.validation[lowest], "o", color=COLOURS[1], label="its lowest point")
    left.set_ylim(bottom=0)
    left.legend(loc="center right")
    label(left, "epoch (passes over the rows)", "loss (nats)", "Means over the splits")
    ends = [0, float(fits.test_losses.max()) * 1.05]
    right.plot(ends, ends, color=COLOURS[5], linestyle="-", linewidth=1)
    right.plot(fits.test_losses[0], fits.test_losses[1], "o", color=COLOURS[2], markersize=4)
    right.set_xlim(*ends)
    right.set_ylim(*ends)
    x_label = f"after all {len(fits.training)} epochs (nats)"
    label(right, x_label, "stopped early (nats)", "Loss on a third part")
    return as_svg(
        figure,
        "Left: the training loss falls for ever, the loss of other patients falls and rises "
        "again. Right: test losses of each split, stopped early against trained to the end.",
    )


POINTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0.0, 1.0, 1.0, 0.0])


def fit_xor(
    activation: ActivationName,
    hidden: tuple[int, ...] = (5, 4),
    starts: int = 100,
    epochs: int = 2_001,
) -> Ensemble:
    """Fit networks with a linear output to the four points of XOR, from many initial weights.

    Args:
        activation: the activation of the hidden layers.
        hidden: the units of the hidden layers.
        starts: the number of networks.
        epochs: the number of epochs.
    """
    config = TrainingConfig(
        hidden=hidden,
        activation=activation,
        initial_weights="glorot",
        loss="squared_error",
        l2=0.0,
        learning_rate=0.01,
        batch_size="all",
        epochs=epochs,
    )
    members = [MemberSpec(replace(config, seed=seed)) for seed in range(starts)]
    return fit_ensemble(POINTS, XOR, members, head=LINEAR_HEAD)


def solved(ensemble: Ensemble) -> np.ndarray:
    """Return bool (starts,), True where all four outputs are within 0.1 of the target."""
    return (np.abs(ensemble.predict(POINTS) - XOR) < 0.1).all(axis=1)


def xor(_: LessonData) -> Lesson:
    """Return the lesson on XOR, learned by a network of 44 parameters."""
    ensembles = {name: fit_xor(name) for name in ("relu", "tanh")}
    linear_outputs = fit_xor("relu", hidden=(), starts=1).predict(POINTS)[0]
    solved_starts = {name: solved(ensemble) for name, ensemble in ensembles.items()}
    relu = ensembles["relu"]
    first = int(np.argmax(solved_starts["relu"]))
    errors = ((relu.predict(POINTS) - XOR) ** 2).mean(axis=1)
    outputs = ", ".join(f"{abs(a):.3f}" for a in relu.predict(POINTS)[first].round(3))
    n_parameters = build_network(relu.members[0].config, 2, LINEAR_HEAD).count_params()
    epochs = relu.members[0].config.epochs
    return Lesson(
        "xor",
        f"{n_parameters} parameters learn XOR",
        _draw_xor(ensembles, first),
        (
            f"Two inputs, hidden layers of 5 and 4 ReLU units and a linear output are "
            f"(2·5 + 5) + (5·4 + 4) + (4 + 1) = {n_parameters} parameters; after {epochs:,} epochs "
            f"on the four points this network answers {outputs}, where "
            f"one without a hidden layer answers {linear_outputs.mean():.2f} to each of the four.",
            f"It is not certain to: from {len(relu)} starts {int(solved_starts['relu'].sum())} "
            "come within 0.1 on all four points, and the others end with a mean squared error of "
            f"{errors[~solved_starts['relu']].min():.3f} to "
            f"{errors[~solved_starts['relu']].max():.3f}; with tanh in place of ReLU "
            f"{int(solved_starts['tanh'].sum())} of {len(relu)} do.",
        ),
    )


@plot_style()
def _draw_xor(ensembles: dict[str, Ensemble], first: int) -> str:
    figure, (left, right) = panels(2, height=3.1)
    side = np.linspace(-0.25, 1.25, 61)
    x, y = np.meshgrid(side, side)
    grid = np.column_stack([x.ravel(), y.ravel()])
    height = ensembles["relu"].predict(grid)[first].reshape(x.shape)
    levels = np.arange(np.floor(height.min() * 4), np.ceil(height.max() * 4) + 1) / 4
    contours = left.contourf(x, y, height, levels, cmap=COLORMAP)
    left.contour(x, y, height, [0.5], colors="white", linewidths=1.4, linestyles="--")
    for value, marker in ((0, "o"), (1, "s")):
        left.plot(
            *POINTS[value == XOR].T,
            marker,
            color="white",
            markeredgecolor="black",
            markersize=8,
            label=f"target {value}",
        )
    left.grid(visible=False)
    left.legend(loc="center", framealpha=1)
    figure.colorbar(contours, ax=left, label="output (no unit)")
    label(left, "first input (no unit)", "second input (no unit)", "One that learned it; dashes: ½")
    bins = np.arange(-35, 1, 2.5).tolist()
    final_errors = [
        np.log10(np.maximum(((ensemble.predict(POINTS) - XOR) ** 2).mean(axis=1), 1e-34))
        for ensemble in ensembles.values()
    ]
    right.hist(
        final_errors,
        bins=bins,
        color=[FILLS[3], FILLS[0]],
        edgecolor=COLOURS[0],
        linewidth=0.5,
        label=["ReLU", "tanh"],
    )
    right.legend()
    label(
        right,
        "log₁₀ of the squared error (no unit)",
        "starts (count of 100)",
        "How they ended",
    )
    return as_svg(
        figure,
        "Left: the output of a trained network over the square, low at two opposite corners "
        "and high at the others. Right: histogram of the last losses of a hundred starts each.",
    )
