"""A model with two columns whose predictions can be computed by hand.

The network is a logistic regression with weights chosen by hand. Six rows, each dose with each
stage, make the mean dose 10 and its standard deviation 4, and leave dose and stage uncorrelated.
"""

from __future__ import annotations

import math

import numpy as np

from model.artifacts import Manifest
from model.inference import DenseLayer
from model.schema import Column, Schema, Source
from model.schema.table_schema import Level, Outcome
from tests.unit.artifacts import artifact_files, manifest_of

SCHEMA = Schema(
    format=1,
    name="tiny",
    title="A table of two columns",
    description="Made up, for tests.",
    missing=("",),
    columns=(
        Column(
            name="dose",
            title="Dose",
            help="How much was given.",
            kind="number",
            unit="mg",
            minimum=0.0,
            maximum=20.0,
            example=12.0,
        ),
        Column(
            name="stage",
            title="Stage",
            help="How far it has come.",
            kind="category",
            levels=(
                Level(code=1, label="Early", name="early", aliases=("early",)),
                Level(code=2, label="Middle", name="middle", aliases=("middle",)),
                Level(code=3, label="Late", name="late", aliases=("late",)),
            ),
            example=2.0,
        ),
    ),
    outcome=Outcome(
        column="worse",
        kind="binary",
        above=0.0,
        values=(0, 1),
        positive="worse",
        negative="not worse",
        meaning="Made up.",
        caution="Made up.",
    ),
    source=Source(
        title="Made up", authors="Nobody", year=2026, url="https://example.org", licence="CC0"
    ),
)
MEAN, SCALE = 10.0, 4.0
DOSE_WEIGHT = 0.8
STAGE_WEIGHTS = {"early": -1.5, "middle": 0.25, "late": 1.75}
BIAS = -0.5
LAYERS = [
    DenseLayer(
        kernel=[[DOSE_WEIGHT], *([weight] for weight in STAGE_WEIGHTS.values())],
        bias=[BIAS],
        activation="sigmoid",
    )
]
ROWS = np.array([[dose, stage] for dose in (6, 14) for stage in (1, 2, 3)], np.float64)
BACKGROUND = np.array([[6, 1], [14, 3]], np.float64)
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Shifts of the log-odds of five members relative to the network."""


def log_odds(dose: float, stage: str, *, shift: float = 0.0) -> float:
    """Return the log-odds of a complete record, computed by hand."""
    return BIAS + shift + DOSE_WEIGHT * (dose - MEAN) / SCALE + STAGE_WEIGHTS[stage]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def probability(dose: float, stage: str, *, shift: float = 0.0) -> float:
    """Return the probability of a complete record, computed by hand."""
    return logistic(log_odds(dose, stage, shift=shift))


def files(shift: float = 0.0) -> dict[str, bytes]:
    """Return the files of a version whose log-odds are shifted by a number."""
    (layer,) = LAYERS
    shifted = DenseLayer(kernel=layer.kernel, bias=[BIAS + shift], activation=layer.activation)
    return artifact_files(SCHEMA, ROWS, [shifted], background=BACKGROUND, shifts=SHIFTS)


def manifest() -> Manifest:
    return manifest_of(SCHEMA, ROWS)
