"""Networks trained on bootstrap samples of the patients, from which intervals come.

What they are for, and why they train longer than the network that answers, says
:mod:`model.inference.intervals`.
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
"""As many epochs as the answering network's, times this."""


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
    """Members of an ensemble, each with a bootstrap sample of its own as weights of the rows.

    Args:
        groups: (n,), equal for copies of a record, which are drawn together.
        seed: of the samples.
        rows: that may be drawn; all if None.
        table: as :class:`model.training.ensemble.members.MemberSpec` takes it.
        n_epochs: after which the answering network's weights are what they are; the config's if
            None.
    """
    everyone = np.arange(len(groups)) if rows is None else rows
    weights = np.zeros((n_members, len(groups)))
    weights[:, everyone] = bootstrap_statistic(
        np.asarray, groups[everyone], seed=seed, n_samples=n_members
    )
    longer = max(1, round((n_epochs or config.epochs) * EPOCH_FACTOR))
    longest = msgspec.structs.replace(config, epochs=longer, patience=0)
    return [
        MemberSpec(
            longest.reseeded(1 + number, 0),
            rows=rows,
            weights=own,
            table=table,
        )
        for number, own in enumerate(weights)
    ]


def fit_bootstrap_ensemble(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    config: TrainingConfig,
    *,
    n_epochs: int | None = None,
) -> Ensemble:
    """Train the members of an artifact on all of its training rows.

    Args:
        features: (n, n_features), the training inputs.
        labels, groups: (n,)
        n_epochs: as :func:`bootstrap_member_specs` takes it.
    """
    members = bootstrap_member_specs(config, groups, seed=config.seed, n_epochs=n_epochs)
    return fit_ensemble(features, labels, members, progress="bootstrap members")


def to_bootstrap_file(ensemble: Ensemble, calibration: Calibration) -> BootstrapFile:
    """The members as numbers, without the bounds of the golden rows.

    Args:
        calibration: that the answering network has absorbed, and they do too.
    """
    is_line = not calibration.knots
    slope, intercept = (calibration.slope, calibration.intercept) if is_line else (1.0, 0.0)
    each = [ensemble.weights(number) for number in range(len(ensemble))]
    stacked = [np.stack(arrays).astype("<f4") for arrays in zip(*each, strict=True)]
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
    """``members.json`` for an artifact that otherwise is whole.

    Args:
        probabilities: (k,), the graph's of the golden rows.

    Raises:
        ValueError: the files do not fit each other.
    """
    rows = golden_values(schema)
    band = EnsembleScorer(files, members, load_missing_value_scorer(schema, files))
    lows, highs = band.bounds(rows, probabilities).tolist()
    return msgspec.json.encode(msgspec.structs.replace(members, lows=lows, highs=highs))
