"""Runs every subject and writes the page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tqdm import tqdm

from course.foundations import (
    activations as bending,
)
from course.foundations import (
    backpropagation as backprop,
)
from course.foundations import (
    gradient_descent as descent,
)
from course.foundations import (
    losses,
    neurons,
)
from course.foundations import (
    metrics as judging,
)
from course.foundations import (
    minibatches as batches,
)
from course.foundations import (
    multiclass as classes,
)
from course.foundations import (
    optimizers as slopes,
)
from course.foundations import (
    overfitting as fits,
)
from course.foundations import (
    weight_initialization as beginnings,
)
from course.foundations.lesson import Case, Subject, double_precision
from pipelines.data import Table
from pipelines.html import render

SUBJECTS: Sequence[Callable[[Case], Subject]] = (
    neurons.neuron,
    neurons.columns,
    neurons.logistic,
    bending.sine,
    bending.activation,
    losses.cross_entropy,
    losses.shapes,
    descent.steps,
    descent.minima,
    batches.noise,
    batches.sizes,
    slopes.optimizers,
    beginnings.starts,
    beginnings.vanishing,
    backprop.chain_rule,
    backprop.differences,
    fits.overfitting,
    fits.xor,
    classes.softmax,
    judging.error_rate,
    judging.missed,
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
