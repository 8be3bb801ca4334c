"""Hand-made model versions, for the tests that train nothing.

``tiny_store`` has one version with two columns. Its predictions are computed by hand in the tests.
``trained`` has the schema of the bundled table and an untrained network. It overrides the fixture
of that name, so that a test of serving runs here as it would on a trained version.
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
    """Fail if a test imports a training framework. Other tests in the process may have done so."""
    before = TRAINERS & sys.modules.keys()
    yield
    if request.config.getoption("--trained"):
        return
    imported = (TRAINERS & sys.modules.keys()) - before
    assert not imported, f"a unit test imported {', '.join(sorted(imported))}"


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store with one version of the model with two columns. Tests must not change it."""
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
    """Return a store with one hand-made version for the bundled table.

    It is as large as a trained one. The first two hidden units point from the mean of the negative
    records to that of the positive ones, so that predictions lie on both sides of 0.5. The other
    units add fixed random directions. With ``--trained`` the version is a trained one.
    """
    if request.config.getoption("--trained"):
        trained_store: Store = request.getfixturevalue("trained_store")
        return trained_store
    encoding = fit_encoding(schema, table.values)
    features = encoding.encode(table.values)
    positive = table.labels > 0.5
    direction = features[positive].mean(axis=0) - features[~positive].mean(axis=0)
    random_directions = np.random.default_rng(0).normal(size=(14, len(direction))) * 0.1
    layers = [
        DenseLayer(
            kernel=np.array([direction, -direction, *random_directions]).T.tolist(),
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
    """Return a client of the module's service. The tests share it, because creating one is slow."""
    return app_of_module.test_client()
