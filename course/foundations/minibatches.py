"""How many records a step looks at."""

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
    """Gradients of batches, at the first weights of a network.

    Attributes:
        relative_errors: by batch size, (d,) root mean square of |g_batch − g| / |g|.
        pairs: by batch size, (n, 2): each batch's gradient of two of the weights.
        whole: (2,), those of all records.
    """

    relative_errors: np.ndarray
    pairs: dict[int, np.ndarray]
    whole: np.ndarray


def batch_gradients(data: LessonData, rows: np.ndarray) -> np.ndarray:
    """(b, B) numbers of rows → (b, n_parameters): the gradient of each batch's mean loss.

    The batches stand side by side as the groups of one program.
    """
    plan = ProgramSpec("relu", "sigmoid", "cross_entropy", "sgd", rows.shape[1], False)
    kernels = draw_kernels(NETWORK, data.features.shape[1])
    weights = []
    for kernel in kernels:
        weights += [
            np.repeat(kernel[None, :, :, None], len(rows), axis=0),
            np.zeros((len(rows), kernel.shape[1], 1)),
        ]
    features = ops.convert_to_tensor(data.features[rows])
    labels = ops.convert_to_tensor(data.labels[rows].astype(float)[:, :, None])

    def loss(given: Any) -> tuple[Any, Any]:
        outputs = forward_pass(plan, given, features)
        each = record_losses(plan, outputs, labels, np.zeros((len(rows), 1)))
        own = ops.mean(each, axis=1)
        return ops.sum(own), own

    _, found = gradients(loss, [ops.convert_to_tensor(weight) for weight in weights])
    return np.concatenate([ops.convert_to_numpy(g).reshape(len(rows), -1) for g in found], axis=1)


def measure_noise(data: LessonData, n_batches: int = 400) -> GradientNoise:
    """How far the gradients of batches, drawn with replacement, are from that of all records."""
    n = len(data.labels)
    whole = batch_gradients(data, np.arange(n)[None])[0]
    draw, shares, pairs = np.random.default_rng(0), [], {}
    two = np.argsort(-np.abs(whole), kind="stable")[[0, 1]]
    for size in SIZES:
        found = batch_gradients(data, draw.integers(0, n, (n_batches, size)))
        away = np.linalg.norm(found - whole, axis=1)
        shares.append(np.sqrt(np.mean(away**2)) / np.linalg.norm(whole))
        pairs[size] = found[:, two]
    return GradientNoise(np.array(shares), pairs, whole[two])


def noise(data: LessonData) -> Lesson:
    """The noise of mini-batches."""
    found = measure_noise(data)
    slope = float(np.polyfit(np.log(SIZES), np.log(found.relative_errors), 1)[0])
    return Lesson(
        "noise",
        "The noise of mini-batches",
        _draw_noise(found),
        (
            f"The gradient of a batch is an estimate of the gradient of all {len(data.labels)} "
            f"records: drawn at random, one record's is off by {found.relative_errors[0]:.1f} "
            "times the length of the true one (root mean square over 400 draws), 16 records' by "
            f"{found.relative_errors[2]:.2f} times and {SIZES[-1]} records' by "
            f"{found.relative_errors[-1]:.2f}.",
            f"The error falls as the batch's size to the power {slope:.2f}, where statistics "
            f"promises −1/2: four times the work halves the noise, which is why small batches "
            f"buy more progress for the same work, and a noise that never ends.",
        ),
    )


@plot_style()
def _draw_noise(found: GradientNoise) -> str:
    figure, (left, right) = panels(2, height=3.1)
    for place, (size, colour) in enumerate(((1, COLOURS[5]), (16, COLOURS[3]), (256, COLOURS[0]))):
        left.plot(
            *found.pairs[size][:120].T,
            MARKERS[place],
            color=colour,
            markersize=3,
            label=f"batches of {size}",
            linestyle="none",
        )
    left.plot(
        *found.whole,
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
    right.loglog(SIZES, found.relative_errors, marker="o", label="measured")
    right.loglog(
        SIZES, found.relative_errors[0] / np.sqrt(SIZES), color=COLOURS[3], label="1 / √size"
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
    """By batch size, (epochs, seeds): mean loss of every epoch, by plain gradient descent."""
    sizes: tuple[Size, ...] = ("all", 32, 1)
    config = replace(NETWORK, optimizer="sgd", learning_rate=0.02, epochs=epochs)
    members = [
        MemberSpec(replace(config, batch_size=size, seed=seed))
        for size in sizes
        for seed in range(seeds)
    ]
    found = fit_ensemble(data.features, data.labels, members).losses()
    return {size: found[:, n * seeds : (n + 1) * seeds] for n, size in enumerate(sizes)}


def sizes(data: LessonData) -> Lesson:
    """Batch, mini-batch and single-sample descent on the table."""
    epochs, n = 60, len(data.labels)
    found = compare_sizes(data, epochs)
    ends = {size: float(losses[-1].mean()) for size, losses in found.items()}
    steps = {"all": 1, 32: -(-n // 32), 1: n}
    best = found[1].mean(axis=1)
    goal = ends["all"]
    reached = int(np.argmax(best < goal)) + 1
    return Lesson(
        "batches",
        "Batch, mini-batch and one by one",
        _draw_sizes(found, steps),
        (
            f"With the same learning rate of 0.02 and {epochs} passes over the {n} patients, "
            f"descent on all records at once ends at a training loss of {ends['all']:.3f} after "
            f"{epochs} steps, mini-batches of 32 at {ends[32]:.3f} after {epochs * steps[32]:,} "
            f"and one by one at {ends[1]:.3f} after {epochs * n:,} (means of five starts).",
            f"One by one passes the end of batch descent in epoch {reached}, at the price of "
            f"{n} steps an epoch, each of them noisy; a low training loss is not yet a good model, "
            f"and that one is well on its way to learning the {n} patients by heart.",
        ),
        "An epoch is one pass over all records and not one step: with 303 records and batches of "
        f"32 it is {steps[32]} steps, the last of them of {n % 32} records.",
    )


@plot_style()
def _draw_sizes(found: dict[Size, np.ndarray], steps: dict[Any, int]) -> str:
    figure, (left, right) = panels(2, sharey=True)
    words = {"all": "all 303 at once", 32: "batches of 32", 1: "one by one"}
    for size, each in found.items():
        mean = each.mean(axis=1)
        epochs = np.arange(1, len(mean) + 1)
        left.plot(epochs, mean, label=words[size])
        right.plot(epochs * steps[size], mean, label=words[size])
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
