"""Fixtures of the report's tests, all from the session's one training."""

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
    """Return the report that the session's training wrote."""
    return (trained.path("1") / "report.html").read_text()


@pytest.fixture(scope="session")
def context(trained: Store, table: Table) -> ReportContext:
    """Return the session's training, with its network's predictions as the out-of-fold ones."""
    artifact = read_artifact(trained.path("1"))
    from pipelines.training.reload import rebuild_network

    encoding, network = rebuild_network(artifact.files)
    from model.training import predict

    predictions = predict(network, encoding.encode(table.values))
    rows = np.arange(len(table))
    return build_report_context(
        artifact, table, network.get_weights(), rows, predictions, predictions, decision="kept"
    )


@pytest.fixture(scope="session")
def auxiliary(context: ReportContext) -> AuxiliaryNetworks:
    from pipelines.report.auxiliary_networks import train_auxiliary_networks

    return train_auxiliary_networks(context)
