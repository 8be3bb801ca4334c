"""Tests of docs/the-model.md: its blocks are run, and compared with the project's networks."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import keras
import numpy as np
import pytest
from flask.testing import FlaskClient

from model.artifacts import Store
from model.training import RECIPES, build_network
from pipelines.data import Table
from tests.conftest import ROOT
from tests.repository.test_readme import blocks


@pytest.fixture(scope="module")
def page(trained: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the variables of the page's blocks, run in a folder like the repository."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("data", "schemas"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "artifacts").mkdir()
    (folder / "artifacts/cleveland").symlink_to(trained.folder)
    page_blocks = blocks(ROOT / "docs/the-model.md")
    assert {block.language for block in page_blocks} == {"python"}
    variables: dict[str, Any] = {}
    with contextlib.chdir(folder):
        for number, block in enumerate(page_blocks, start=1):
            exec(compile(block.text, f"docs/the-model.md, block {number}", "exec"), variables)
    return variables


def test_the_saved_weights_give_the_probabilities_of_the_service(
    page: dict[str, Any], client: FlaskClient, table: Table
) -> None:
    columns = table.schema.column_names
    records = [
        {name: None if math.isnan(v) else v for name, v in zip(columns, row, strict=True)}
        for row in table.values.tolist()
    ]
    response = client.post("/predict", json=records).get_json()
    served = np.array([prediction["probability"] for prediction in response["predictions"]])
    assert served.tolist() == page["served_probabilities"].tolist()
    complete = np.array([not prediction["missing"] for prediction in response["predictions"]])
    assert (len(served), int(complete.sum())) == (303, 297), "as the page says"
    assert page["saved_probabilities"][complete] == pytest.approx(served[complete], abs=1e-6)
    assert page["difference"] < 1e-6


@pytest.mark.parametrize(
    ("name", "recipe"), [("network", "textbook"), ("default_network", "default")]
)
def test_a_recipe_is_the_network_of_the_page(page: dict[str, Any], name: str, recipe: str) -> None:
    """Compare layers, initializers, penalties, optimizer, loss, batches and epochs."""
    documented, config = page[name], RECIPES[recipe]
    network = build_network(config, 29)
    assert documented.count_params() == network.count_params() == 497
    assert len(documented.layers) == len(network.layers) == 3
    for layer, documented_layer in zip(network.layers, documented.layers, strict=True):
        assert type(layer) is type(documented_layer)
        if isinstance(layer, keras.layers.Dense):
            assert describe(layer) == describe(documented_layer)
            sizes = initial_weight_sizes(layer)
            assert sizes == pytest.approx(initial_weight_sizes(documented_layer), rel=0.01)
    assert without_name(network.optimizer) == without_name(documented.optimizer)
    assert type(network.loss) is type(documented.loss)
    assert network.loss.get_config() == documented.loss.get_config()
    assert documented.history.params["epochs"] == config.epochs
    assert isinstance(config.batch_size, int)
    assert documented.history.params["steps"] == math.ceil(len(page["x_train"]) / config.batch_size)


def describe(layer: Any) -> tuple[Any, ...]:
    """Return the shape, bias, activation and penalty of a dense layer."""
    return (
        tuple(layer.kernel.shape),
        layer.use_bias,
        keras.activations.serialize(layer.activation),
        layer.kernel_regularizer and layer.kernel_regularizer.get_config(),
    )


def initial_weight_sizes(layer: Any) -> list[float]:
    """Return the largest and the mean absolute weight that a layer's initializer draws."""
    size = np.abs(keras.ops.convert_to_numpy(layer.kernel_initializer((1000, 1000))))
    return [float(size.max()), float(size.mean())]


def without_name(optimizer: Any) -> dict[str, Any]:
    return {key: value for key, value in optimizer.get_config().items() if key != "name"}
