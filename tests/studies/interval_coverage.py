"""Simulation of the coverage of the intervals of :mod:`model.inference.intervals`.

A truth gives every patient a known probability. In each redraw, outcomes are drawn from these
probabilities and bootstrap members are trained on them, as for an artifact. The coverage is the
share of intervals that contain the known probability. A single redraw is not enough, because its
intervals are correlated.
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
    """Coverage of intervals for one truth.

    Attributes:
        fitted, held_out: share of intervals that contain the true probability, for patients whose
            outcomes were trained on and for the other patients.
        tenths: the same share for all patients by predicted probability, 0 to .1 first; NaN
            without any patient.
        width: mean difference of the upper and the lower bound.
    """

    fitted: float
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
    """Simulate the coverage of nominal 90 % intervals, by name of the truth.

    Args:
        features: (n, n_features), of real patients.
        groups: (n,), equal for copies of a record.
        truths: by name, the true probability (n,) of each patient.
        config: of the networks.
        n_redraws: of the outcomes, for each truth. Coverage varies by about .06 between redraws,
            so at least 25 are needed.
        seed: of outcomes, held-out patients and bootstrap samples.
        spread: as for :func:`model.inference.interval_bounds`.
    """
    draw = np.random.default_rng(seed)
    n = len(groups)
    labels, held_out, members = [], [], []
    for number in range(len(truths) * n_redraws):
        truth = list(truths.values())[number // n_redraws]
        labels.append(draw.random(n) < truth)
        is_held_out = np.isin(
            groups, draw.choice(np.unique(groups), round(HELD_OUT_FRACTION * n), replace=False)
        )
        held_out.append(is_held_out)
        members += bootstrap_member_specs(
            config,
            groups,
            seed=seed + number,
            rows=np.flatnonzero(~is_held_out),
            table=number,
            n_members=n_members,
        )
    tables = np.broadcast_to(features, (len(labels), *features.shape))
    targets = np.array(labels, np.float32)[:, :, None]
    log_odds = fit_ensemble(tables, targets, members, progress=progress).outputs(tables)[:, :, 0]
    log_odds = log_odds.reshape(len(labels), n_members, n)
    coverages = {}
    for index, (name, truth) in enumerate(truths.items()):
        redraws = slice(index * n_redraws, (index + 1) * n_redraws)
        coverages[name] = _coverage(log_odds[redraws], truth, np.array(held_out[redraws]), spread)
    return coverages


def _coverage(
    log_odds: np.ndarray, truth: np.ndarray, held_out: np.ndarray, spread: float
) -> Coverage:
    """Compute the coverage for one truth.

    Args:
        log_odds: (n_redraws, n_members, n).
        truth: (n,), probabilities.
        held_out: bool (n_redraws, n).
    """
    rows = log_odds.transpose(0, 2, 1).reshape(-1, log_odds.shape[1])
    bounds = interval_bounds(rows, INTERVAL_LEVEL, spread, np.zeros((len(rows), 1)))
    median, low, high = (bound.reshape(held_out.shape) for bound in bounds)
    covered = (low <= truth) & (truth <= high)
    tenths = np.minimum((median * N_TENTHS).astype(int), N_TENTHS - 1)
    return Coverage(
        fitted=float(covered[~held_out].mean()),
        held_out=float(covered[held_out].mean()),
        tenths=[
            float(covered[tenths == t].mean()) if (tenths == t).any() else float("nan")
            for t in range(N_TENTHS)
        ],
        width=float((high - low).mean()),
    )
