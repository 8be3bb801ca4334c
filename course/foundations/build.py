"""Construction of the page from all lessons."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from course.foundations import (
    activations,
    backpropagation,
    gradient_descent,
    losses,
    metrics,
    minibatches,
    multiclass,
    neurons,
    optimizers,
    overfitting,
    weight_initialization,
)
from course.foundations.lesson import Lesson, LessonData, double_precision
from pipelines.data import Table
from pipelines.html import render_page

TEMPLATES = Path(__file__).parents[1] / "templates"

LESSONS: Sequence[Callable[[LessonData], Lesson]] = (
    neurons.neuron,
    neurons.columns,
    neurons.logistic,
    activations.sine,
    activations.activation,
    losses.cross_entropy,
    losses.shapes,
    gradient_descent.learning_rates,
    gradient_descent.minima,
    minibatches.noise,
    minibatches.sizes,
    optimizers.optimizers,
    weight_initialization.initializers,
    weight_initialization.vanishing,
    backpropagation.chain_rule,
    backpropagation.gradient_check,
    overfitting.overfitting,
    overfitting.xor,
    multiclass.softmax,
    metrics.error_rate,
    metrics.class_weight,
)
"""The lessons in the order of the page."""


def build_page(table: Table) -> str:
    """Run every lesson and return the page as HTML, after about a minute on two cores.

    Args:
        table: the bundled table, whose columns the lessons name.
    """
    data = LessonData(table)
    with double_precision():
        lessons = [
            run(data)
            for run in tqdm(LESSONS, "foundations", unit="lesson", file=sys.stderr, disable=None)
        ]
    return render_page(
        "foundations.html",
        folder=TEMPLATES,
        title="The foundations, shown with our own parts",
        lessons=lessons,
        table=table,
    )
