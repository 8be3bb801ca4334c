"""A training to report on, without training it again."""

from __future__ import annotations

import numpy as np
import pytest

from model.artifacts import Manifest, Store
from model.artifacts.artifact import read_artifact
from pipelines.data import Table
from pipelines.report import build_report_context
from pipelines.report.auxiliary_networks import AuxiliaryNetworks
from pipelines.report.context import ReportContext


@pytest.fixture(scope="session")
def manifest(trained: Store) -> Manifest:
    return trained.read("1").manifest


@pytest.fixture(scope="session")
def page(trained: Store) -> str:
    """The report that the training of the session wrote."""
    return (trained.path("1") / "report.html").read_text()


@pytest.fixture(scope="session")
def context(trained: Store, table: Table) -> ReportContext:
    """The session's training, with its network's own answers in place of those of the folds."""
    artifact = read_artifact(trained.path("1"))
    from pipelines.training.export import rebuild_network

    encoding, network = rebuild_network(artifact.files)
    from model.training import predict

    given = predict(network, encoding.encode(table.values))
    rows = np.arange(len(table))
    return build_report_context(
        artifact, table, network.get_weights(), rows, given, given, decision="kept"
    )


@pytest.fixture(scope="session")
def auxiliary(context: ReportContext) -> AuxiliaryNetworks:
    from pipelines.report.auxiliary_networks import train_auxiliary_networks

    return train_auxiliary_networks(context)
