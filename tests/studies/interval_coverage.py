"""How often intervals hold a truth that is known: the simulation behind :mod:`model.inference.intervals`.

A truth gives every patient a probability. Outcomes are drawn from it anew, the members are trained
on them as an artifact's are, and every interval is held against the probability that the outcomes
were drawn from. One redraw says little, because its intervals err together.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from model.inference import INTERVAL_LEVEL, SPREAD_FACTOR, interval_bounds
from model.training import TrainingConfig
from model.training.ensemble import N_MEMBERS, bootstrap_member_specs, fit_ensemble

HELD_OUT_FRACTION = 0.2
N_TENTHS = 10


class Coverage(msgspec.Struct, frozen=True):
    """How intervals did against one truth.

    Attributes:
        seen, held_out: share of patients whose interval holds the truth, among those whose
            outcomes were trained on and among the others.
        tenths: the same for all patients by tenth of predicted probability, 0 to .1 first; NaN
            where nobody is.
        width: mean difference of the upper and the lower bound.
    """

    seen: float
    held_out: float
    tenths: list[float]
    width: float


def simulate_coverage(
    features: np.ndarray,
    groups: np.ndarray,
    truths: Mapping[str, np.ndarray],
    config: TrainingConfig,
    *,
    n_redraws: int,
    seed: int,
    n_members: int = N_MEMBERS,
    spread: float = SPREAD_FACTOR,
    progress: str = "",
) -> dict[str, Coverage]:
    """Coverage of nominal 90 % intervals, by name of the truth.

    Args:
        features: (n, n_features), of real patients.
        groups: (n,), equal for copies of a record.
        truths: by name, the probability (n,) of each patient.
        config: of the networks.
        n_redraws: of the outcomes, for each truth; coverage varies by about .06 from one to the
            next, so that 25 are the least to believe.
    """
    draw = np.random.default_rng(seed)
    n = len(groups)
    labels, held, members = [], [], []
    for number in range(len(truths) * n_redraws):
        truth = list(truths.values())[number // n_redraws]
        labels.append(draw.random(n) < truth)
        out = np.isin(
            groups, draw.choice(np.unique(groups), round(HELD_OUT_FRACTION * n), replace=False)
        )
        held.append(out)
        members += bootstrap_member_specs(
            config,
            groups,
            seed=seed + number,
            rows=np.flatnonzero(~out),
            table=number,
            n_members=n_members,
        )
    tables = np.broadcast_to(features, (len(labels), *features.shape))
    targets = np.array(labels, np.float32)[:, :, None]
    log_odds = fit_ensemble(tables, targets, members, progress=progress).outputs(tables)[:, :, 0]
    found = {}
    for place, (name, truth) in enumerate(truths.items()):
        own = slice(place * n_redraws, (place + 1) * n_redraws)
        drawn = log_odds.reshape(len(labels), n_members, n)[own]
        found[name] = _coverage(drawn, truth, np.array(held[own]), spread)
    return found


def _coverage(drawn: np.ndarray, truth: np.ndarray, held: np.ndarray, spread: float) -> Coverage:
    """Of (n_redraws, n_members, n) log-odds."""
    rows = drawn.transpose(0, 2, 1).reshape(-1, drawn.shape[1])
    middle, low, high = (
        found.reshape(held.shape)
        for found in interval_bounds(rows, INTERVAL_LEVEL, spread, np.zeros((len(rows), 1)))
    )
    inside = (low <= truth) & (truth <= high)
    tenth = np.minimum((middle * N_TENTHS).astype(int), N_TENTHS - 1)
    return Coverage(
        seen=float(inside[~held].mean()),
        held_out=float(inside[held].mean()),
        tenths=[
            float(inside[tenth == t].mean()) if (tenth == t).any() else float("nan")
            for t in range(N_TENTHS)
        ],
        width=float((high - low).mean()),
    )
