"""A training to report on, without training it again."""

from __future__ import annotations

import numpy as np
import pytest

from model.artifact import read_artifact
from model.manifest import Manifest
from model.store import Store
from pipelines.report.companions import Companions
from pipelines.report.subject import Subject, read_subject
from pipelines.tables import Table


@pytest.fixture(scope="session")
def manifest(trained: Store) -> Manifest:
    return trained.read("1").manifest


@pytest.fixture(scope="session")
def page(trained: Store) -> str:
    """The report that the training of the session wrote."""
    return (trained.path("1") / "report.html").read_text()


@pytest.fixture(scope="session")
def subject(trained: Store, table: Table) -> Subject:
    """The session's training, with its network's own answers in place of those of the folds."""
    artifact = read_artifact(trained.path("1"))
    from pipelines.reloading import rebuild

    encoding, network = rebuild(artifact.files)
    from model.training import predict

    given = predict(network, encoding.encode(table.values))
    rows = np.arange(len(table))
    return read_subject(artifact, table, network.get_weights(), rows, given, given, decision="kept")


@pytest.fixture(scope="session")
def companions(subject: Subject) -> Companions:
    from pipelines.report.companions import train_companions

    return train_companions(subject)
