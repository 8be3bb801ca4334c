"""Runs every subject and writes the page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

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
from course.foundations.lesson import Case, Subject, double_precision
from pipelines.data import Table
from pipelines.html import render

SUBJECTS: Sequence[Callable[[Case], Subject]] = (
    neurons.neuron,
    neurons.columns,
    neurons.logistic,
    activations.sine,
    activations.activation,
    losses.cross_entropy,
    losses.shapes,
    gradient_descent.steps,
    gradient_descent.minima,
    minibatches.noise,
    minibatches.sizes,
    optimizers.optimizers,
    weight_initialization.starts,
    weight_initialization.vanishing,
    backpropagation.chain_rule,
    backpropagation.differences,
    overfitting.overfitting,
    overfitting.xor,
    multiclass.softmax,
    metrics.error_rate,
    metrics.missed,
)
"""In the order of the page."""


def write_page(table: Table) -> str:
    """The whole page as HTML, from runs that are made now; about a minute on two cores."""
    case = Case(table)
    with double_precision():
        found = [
            run(case)
            for run in tqdm(SUBJECTS, "foundations", unit="subject", file=sys.stderr, disable=None)
        ]
    return render(
        "foundations.html",
        title="The foundations, shown with our own parts",
        subjects=found,
        table=table,
    )
