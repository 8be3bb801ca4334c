"""Runs every subject and writes the page."""

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
"""In the order of the page."""


def build_page(table: Table) -> str:
    """The whole page as HTML, from runs that are made now; about a minute on two cores."""
    data = LessonData(table)
    with double_precision():
        found = [
            run(data)
            for run in tqdm(LESSONS, "foundations", unit="lesson", file=sys.stderr, disable=None)
        ]
    return render_page(
        "foundations.html",
        folder=TEMPLATES,
        title="The foundations, shown with our own parts",
        lessons=found,
        table=table,
    )
