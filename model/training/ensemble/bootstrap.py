"""Networks trained on bootstrap samples of the patients, for prediction intervals.

:mod:`model.inference.intervals` explains the intervals and why these networks train for more epochs
than the served network.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from model.artifacts import golden_values
from model.calibration import Calibration
from model.evaluation import bootstrap_statistic
from model.inference import (
    INTERVAL_LEVEL,
    SPREAD_FACTOR,
    BootstrapFile,
    EnsembleScorer,
    MemberLayer,
    load_missing_value_scorer,
)
from model.schema import Schema
from model.training.config import TrainingConfig
from model.training.ensemble.fit import fit_ensemble
from model.training.ensemble.members import Ensemble, MemberSpec

N_MEMBERS = 100
EPOCH_FACTOR = 1.4
"""Epochs of the members, relative to the epochs of the served network."""


def bootstrap_member_specs(
    config: TrainingConfig,
    groups: np.ndarray,
    *,
    seed: int,
    rows: np.ndarray | None = None,
    table: int = 0,
    n_epochs: int | None = None,
    n_members: int = N_MEMBERS,
) -> list[MemberSpec]:
    """Return the members of an ensemble, each with its own bootstrap sample as row weights.

    Args:
        config: the config of the served network.
        groups: (n,), equal for copies of a record, which are sampled together.
        seed: seed of the bootstrap samples.
        rows: indices of the rows to sample from; all rows if None.
        table: index of the feature table, as in
            :class:`model.training.ensemble.members.MemberSpec`.
        n_epochs: epochs after which the served network had its weights; the config's epochs if
            None.
        n_members: number of members.
    """
    sampled_rows = np.arange(len(groups)) if rows is None else rows
    weights = np.zeros((n_members, len(groups)))
    weights[:, sampled_rows] = bootstrap_statistic(
        np.asarray, groups[sampled_rows], seed=seed, n_samples=n_members
    )
    member_epochs = max(1, round((n_epochs or config.epochs) * EPOCH_FACTOR))
    member_config = msgspec.structs.replace(config, epochs=member_epochs, patience=0)
    return [
        MemberSpec(
            member_config.reseeded(1 + number, 0),
            rows=rows,
            weights=row_weights,
            table=table,
        )
        for number, row_weights in enumerate(weights)
    ]


def fit_bootstrap_ensemble(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    config: TrainingConfig,
    *,
    n_epochs: int | None = None,
) -> Ensemble:
    """Train an artifact's bootstrap ensemble on all of its training rows.

    Args:
        features: (n, n_features), the encoded training rows.
        labels: (n,) of 0 and 1.
        groups: (n,), equal for copies of a record.
        config: the config of the served network.
        n_epochs: epochs of the served network, as in :func:`bootstrap_member_specs`.
    """
    members = bootstrap_member_specs(config, groups, seed=config.seed, n_epochs=n_epochs)
    return fit_ensemble(features, labels, members, progress="bootstrap members")


def to_bootstrap_file(ensemble: Ensemble, calibration: Calibration) -> BootstrapFile:
    """Return the members' weights as a file, without the bounds of the golden rows.

    Args:
        ensemble: members with equal architecture.
        calibration: the calibration of the served network, applied to the members as well. A linear
            calibration is folded into their last layer; any other becomes additional layers.
    """
    is_linear = not calibration.knots
    slope, intercept = (calibration.slope, calibration.intercept) if is_linear else (1.0, 0.0)
    member_weights = [ensemble.weights(number) for number in range(len(ensemble))]
    stacked = [np.stack(arrays).astype("<f4") for arrays in zip(*member_weights, strict=True)]
    stacked[-2] = (stacked[-2] * np.float32(slope)).astype("<f4")
    stacked[-1] = (stacked[-1] * np.float32(slope) + np.float32(intercept)).astype("<f4")
    config = ensemble.members[0].config
    activations = [*[config.activation] * len(config.hidden), "linear"]
    return BootstrapFile(
        level=INTERVAL_LEVEL,
        spread=SPREAD_FACTOR,
        layers=[
            MemberLayer(
                shape=(kernel.shape[0], kernel.shape[1], kernel.shape[2]),
                kernel=kernel.tobytes(),
                bias=bias.tobytes(),
                activation=activation,
            )
            for kernel, bias, activation in zip(
                stacked[::2], stacked[1::2], activations, strict=True
            )
        ],
        calibration=calibration.layers(),
    )


def encode_bootstrap_file(
    schema: Schema, files: Mapping[str, bytes], members: BootstrapFile, probabilities: np.ndarray
) -> bytes:
    """Return ``members.json`` for an artifact whose other files are complete.

    Args:
        schema: the schema of the artifact.
        files: the artifact's other files, by name.
        members: the members, without bounds.
        probabilities: (k,), the graph's probabilities of the k golden rows.

    Raises:
        ValueError: the files contradict each other.
    """
    rows = golden_values(schema)
    scorer = EnsembleScorer(files, members, load_missing_value_scorer(schema, files))
    lows, highs = scorer.bounds(rows, probabilities).tolist()
    return msgspec.json.encode(msgspec.structs.replace(members, lows=lows, highs=highs))
