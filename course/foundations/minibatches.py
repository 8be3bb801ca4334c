"""Lessons on mini-batches: the noise of their gradients, and batch sizes."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from keras import ops
from msgspec.structs import replace

from course.foundations.lesson import Lesson, LessonData
from model.training import TrainingConfig, draw_kernels
from model.training.ensemble import (
    MemberSpec,
    ProgramSpec,
    fit_ensemble,
    forward_pass,
    gradients,
    record_losses,
)
from pipelines.html import COLOURS, MARKERS, as_svg, label, panels, plot_style

SIZES = (1, 4, 16, 64, 256)
NETWORK = TrainingConfig(initial_weights="glorot", l2=0.0)
Size = int | Literal["all"]


class GradientNoise(NamedTuple):
    """Gradients of batches at the initial weights of a network.

    Attributes:
        relative_errors: (len(SIZES),), root mean square of |g_batch − g| / |g| for each size.
        pairs: by batch size, (n_batches, 2): the gradients of two of the weights.
        full_batch: (2,), the gradients of these weights for all records.
    """

    relative_errors: np.ndarray
    pairs: dict[int, np.ndarray]
    full_batch: np.ndarray


def batch_gradients(data: LessonData, rows: np.ndarray) -> np.ndarray:
    """Return the gradient of the mean loss of each batch.

    The batches are the groups of one ensemble program.

    Args:
        data: the table.
        rows: (b, batch size), the row numbers of b batches.

    Returns:
        float64 (b, n_parameters).
    """
    program = ProgramSpec("relu", "sigmoid", "cross_entropy", "sgd", rows.shape[1], False)
    kernels = draw_kernels(NETWORK, data.features.shape[1])
    weights = []
    for kernel in kernels:
        weights += [
            np.repeat(kernel[None, :, :, None], len(rows), axis=0),
            np.zeros((len(rows), kernel.shape[1], 1)),
        ]
    features = ops.convert_to_tensor(data.features[rows])
    labels = ops.convert_to_tensor(data.labels[rows].astype(float)[:, :, None])

    def loss(weights: Any) -> tuple[Any, Any]:
        outputs = forward_pass(program, weights, features)
        losses = record_losses(program, outputs, labels, np.zeros((len(rows), 1)))
        batch_losses = ops.mean(losses, axis=1)
        return ops.sum(batch_losses), batch_losses

    _, batch_gradient = gradients(loss, [ops.convert_to_tensor(weight) for weight in weights])
    return np.concatenate(
        [ops.convert_to_numpy(gradient).reshape(len(rows), -1) for gradient in batch_gradient],
        axis=1,
    )


def measure_noise(data: LessonData, n_batches: int = 400) -> GradientNoise:
    """Compare gradients of batches, drawn with replacement, with the gradient of all records."""
    n = len(data.labels)
    full_batch = batch_gradients(data, np.arange(n)[None])[0]
    rng, relative_errors, pairs = np.random.default_rng(0), [], {}
    largest = np.argsort(-np.abs(full_batch), kind="stable")[[0, 1]]
    for size in SIZES:
        of_batches = batch_gradients(data, rng.integers(0, n, (n_batches, size)))
        distances = np.linalg.norm(of_batches - full_batch, axis=1)
        relative_errors.append(np.sqrt(np.mean(distances**2)) / np.linalg.norm(full_batch))
        pairs[size] = of_batches[:, largest]
    return GradientNoise(np.array(relative_errors), pairs, full_batch[largest])


def noise(data: LessonData) -> Lesson:
    """Return the lesson on the noise of mini-batches."""
    measured = measure_noise(data)
    slope = float(np.polyfit(np.log(SIZES), np.log(measured.relative_errors), 1)[0])
    return Lesson(
        "noise",
        "The noise of mini-batches",
        _draw_noise(measured),
        (
            f"The gradient of a batch is an estimate of the gradient of all {len(data.labels)} "
            f"records: drawn at random, one record's is off by {measured.relative_errors[0]:.1f} "
            "times the length of the true one (root mean square over 400 draws), 16 records' by "
            f"{measured.relative_errors[2]:.2f} times and {SIZES[-1]} records' by "
            f"{measured.relative_errors[-1]:.2f}.",
            f"The error falls as the batch's size to the power {slope:.2f}, where statistics "
            f"promises −1/2: four times the work halves the noise, which is why small batches "
            f"buy more progress for the same work, and a noise that never ends.",
        ),
    )


@plot_style()
def _draw_noise(measured: GradientNoise) -> str:
    figure, (left, right) = panels(2, height=3.1)
    for index, (size, colour) in enumerate(((1, COLOURS[5]), (16, COLOURS[3]), (256, COLOURS[0]))):
        left.plot(
            *measured.pairs[size][:120].T,
            MARKERS[index],
            color=colour,
            markersize=3,
            label=f"batches of {size}",
            linestyle="none",
        )
    left.plot(
        *measured.full_batch,
        "*",
        color="white",
        markeredgecolor="black",
        markersize=13,
        label="all records",
        linestyle="none",
    )
    left.legend(loc="best", handlelength=1)
    label(
        left,
        "gradient of one weight (nats)",
        "gradient of another (nats)",
        "Gradients of 120 batches each",
    )
    right.loglog(SIZES, measured.relative_errors, marker="o", label="measured")
    right.loglog(
        SIZES, measured.relative_errors[0] / np.sqrt(SIZES), color=COLOURS[3], label="1 / √size"
    )
    right.set_xticks(SIZES, [str(size) for size in SIZES])
    right.set_yticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    right.legend()
    label(
        right, "records in the batch (count)", "error / gradient's length (no unit)", "How far off"
    )
    return as_svg(
        figure,
        "Left: gradients of single records scatter widely around that of all, those of "
        "batches of 256 hardly. Right: the error falls along one over the root of the batch size.",
    )


def compare_sizes(data: LessonData, epochs: int, seeds: int = 5) -> dict[Size, np.ndarray]:
    """Return the training losses of plain gradient descent, (epochs, seeds) for each batch size."""
    sizes: tuple[Size, ...] = ("all", 32, 1)
    config = replace(NETWORK, optimizer="sgd", learning_rate=0.02, epochs=epochs)
    members = [
        MemberSpec(replace(config, batch_size=size, seed=seed))
        for size in sizes
        for seed in range(seeds)
    ]
    losses = fit_ensemble(data.features, data.labels, members).losses()
    return {
        size: losses[:, index * seeds : (index + 1) * seeds] for index, size in enumerate(sizes)
    }


def sizes(data: LessonData) -> Lesson:
    """Return the lesson on batch sizes: batch, mini-batch and single-record descent."""
    epochs, n = 60, len(data.labels)
    losses_by_size = compare_sizes(data, epochs)
    ends = {size: float(losses[-1].mean()) for size, losses in losses_by_size.items()}
    steps = {"all": 1, 32: -(-n // 32), 1: n}
    single_record = losses_by_size[1].mean(axis=1)
    batch_end = ends["all"]
    epoch = int(np.argmax(single_record < batch_end)) + 1
    return Lesson(
        "batches",
        "Batch, mini-batch and one by one",
        _draw_sizes(losses_by_size, steps),
        (
            f"With the same learning rate of 0.02 and {epochs} passes over the {n} patients, "
            f"descent on all records at once ends at a training loss of {ends['all']:.3f} after "
            f"{epochs} steps, mini-batches of 32 at {ends[32]:.3f} after {epochs * steps[32]:,} "
            f"and one by one at {ends[1]:.3f} after {epochs * n:,} (means of five starts).",
            f"One by one passes the end of batch descent in epoch {epoch}, at the price of "
            f"{n} steps an epoch, each of them noisy; a low training loss is not yet a good model, "
            f"and that one is well on its way to learning the {n} patients by heart.",
        ),
        "An epoch is one pass over all records and not one step: with 303 records and batches of "
        f"32 it is {steps[32]} steps, the last of them of {n % 32} records.",
    )


@plot_style()
def _draw_sizes(losses_by_size: dict[Size, np.ndarray], steps: dict[Any, int]) -> str:
    figure, (left, right) = panels(2, sharey=True)
    names = {"all": "all 303 at once", 32: "batches of 32", 1: "one by one"}
    for size, losses in losses_by_size.items():
        mean = losses.mean(axis=1)
        epochs = np.arange(1, len(mean) + 1)
        left.plot(epochs, mean, label=names[size])
        right.plot(epochs * steps[size], mean, label=names[size])
    right.set_xscale("log")
    left.set_ylim(0, 1)
    left.legend(loc="upper right")
    label(left, "epoch (passes over the table)", "training loss (nats)", "By passes")
    label(right, "steps (count)", "", "The same by steps")
    return as_svg(
        figure,
        "Training loss of three batch sizes by epoch and by step: by epoch the single "
        "records are fastest, by step the large batches.",
    )
