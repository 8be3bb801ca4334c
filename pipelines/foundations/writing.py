"""Runs every subject and writes the page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tqdm import tqdm

from pipelines.foundations import (
    backprop,
    batches,
    beginnings,
    bending,
    classes,
    descent,
    fits,
    judging,
    losses,
    neurons,
    slopes,
)
from pipelines.foundations.subject import Case, Subject, double_precision
from pipelines.page import render
from pipelines.tables import Table

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
