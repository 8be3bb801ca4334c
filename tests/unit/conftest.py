"""Versions made by hand, for the tests that train nothing.

``tiny_store`` holds one of two columns, whose answers a test works out by itself. ``trained`` has the
schema of the bundled table and a network that nobody trained. It replaces the fixture of that name,
so that a test of serving runs here as it would on a trained version.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from app import Service, Settings, create_app
from model.artifacts import Store
from model.inference import DenseLayer
from model.schema import Schema
from pipelines.data import Table
from tests.unit import tiny
from tests.unit.artifacts import artifact_files, fit_encoding, manifest_of

TRAINERS = frozenset({"keras", "tensorflow", "torch", "jax"})


@pytest.fixture(autouse=True)
def _imports_no_trainer(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test here may import what trains; other tests in the same process may have done so."""
    before = TRAINERS & sys.modules.keys()
    yield
    if request.config.getoption("--trained"):
        return
    imported = (TRAINERS & sys.modules.keys()) - before
    assert not imported, f"a unit test imported {', '.join(sorted(imported))}"


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with one version of the model of two columns; not to be changed."""
    return store_of_tiny(tmp_path_factory.mktemp("artifacts") / "tiny")


def store_of_tiny(folder: Path) -> Store:
    store = Store(folder)
    store.add(tiny.manifest(), tiny.files())
    store.promote("1")
    return store


@pytest.fixture(scope="session")
def tiny_app(tiny_store: Store) -> Service:
    return create_app(Settings(model_store=tiny_store.folder))


@pytest.fixture
def tiny_client(tiny_app: Service) -> FlaskClient:
    return tiny_app.test_client()


@pytest.fixture(scope="session")
def trained(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    schema: Schema,
    table: Table,
) -> Store:
    """A store with one version for the bundled table, made by hand.

    As large as a trained one. Its first two hidden units look from where negative records lie
    towards the positive ones, so that answers spread to both sides of one half. The others bend
    it a little, by a fixed draw. With ``--trained`` it is a version that was trained.
    """
    if request.config.getoption("--trained"):
        trained_store: Store = request.getfixturevalue("trained_store")
        return trained_store
    encoding = fit_encoding(schema, table.values)
    features = encoding.encode(table.values)
    positive = table.labels > 0.5
    towards = features[positive].mean(axis=0) - features[~positive].mean(axis=0)
    bends = np.random.default_rng(0).normal(size=(14, len(towards))) * 0.1
    layers = [
        DenseLayer(
            kernel=np.array([towards, -towards, *bends]).T.tolist(),
            bias=[0.0, 0.0, *[0.1] * 14],
            activation="relu",
        ),
        DenseLayer(kernel=[[1.0], [-1.0], *[[0.1], [-0.1]] * 7], bias=[-0.1], activation="sigmoid"),
    ]
    files = artifact_files(
        schema,
        table.values,
        layers,
        background=table.values[:50],
        shifts=np.linspace(-1, 1, 100).tolist(),
    )
    store = Store(tmp_path_factory.mktemp("artifacts") / "cleveland")
    folds = {"n_patients": len(table)}
    store.add(manifest_of(schema, table.values, metrics={"folds": folds}), files)
    store.promote("1")
    return store


@pytest.fixture(scope="module")
def app_of_module(trained: Store) -> Service:
    return create_app(Settings(model_store=trained.folder))


@pytest.fixture
def client(app_of_module: Service) -> FlaskClient:
    """A client of a service that the tests of a file share: making one takes longer than asking it."""
    return app_of_module.test_client()
