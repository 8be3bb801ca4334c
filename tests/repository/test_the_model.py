"""The blocks of docs/the-model.md, run in order, and the product's networks beside theirs."""

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
    """The names that the page's blocks define, run in a folder laid out like the repository."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("data", "schemas"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "artifacts").mkdir()
    (folder / "artifacts/cleveland").symlink_to(trained.folder)
    found = blocks(ROOT / "docs/the-model.md")
    assert {block.language for block in found} == {"python"}
    names: dict[str, Any] = {}
    with contextlib.chdir(folder):
        for number, block in enumerate(found, start=1):
            exec(compile(block.text, f"docs/the-model.md, block {number}", "exec"), names)
    return names


def test_the_saved_weights_give_the_answers_of_the_service(
    page: dict[str, Any], client: FlaskClient, table: Table
) -> None:
    columns = table.schema.column_names
    records = [
        {name: None if math.isnan(v) else v for name, v in zip(columns, row, strict=True)}
        for row in table.values.tolist()
    ]
    answer = client.post("/predict", json=records).get_json()
    served = np.array([prediction["probability"] for prediction in answer["predictions"]])
    assert served.tolist() == page["served_probabilities"].tolist()
    complete = np.array([not prediction["missing"] for prediction in answer["predictions"]])
    assert (len(served), int(complete.sum())) == (303, 297), "as the page says"
    assert page["saved_probabilities"][complete] == pytest.approx(served[complete], abs=1e-6)
    assert page["difference"] < 1e-6


@pytest.mark.parametrize(
    ("name", "recipe"), [("network", "textbook"), ("default_network", "default")]
)
def test_a_recipe_is_the_network_of_the_page(page: dict[str, Any], name: str, recipe: str) -> None:
    """Equal layers, initial distribution, penalty, optimizer, loss, batches and epochs."""
    plain, config = page[name], RECIPES[recipe]
    product = build_network(config, 29)
    assert plain.count_params() == product.count_params() == 497
    assert len(plain.layers) == len(product.layers) == 3
    for ours, theirs in zip(product.layers, plain.layers, strict=True):
        assert type(ours) is type(theirs)
        if isinstance(ours, keras.layers.Dense):
            assert describe(ours) == describe(theirs)
            assert first_weights(ours) == pytest.approx(first_weights(theirs), rel=0.01)
    assert without_name(product.optimizer) == without_name(plain.optimizer)
    assert type(product.loss) is type(plain.loss)
    assert product.loss.get_config() == plain.loss.get_config()
    assert plain.history.params["epochs"] == config.epochs
    assert isinstance(config.batch_size, int)
    assert plain.history.params["steps"] == math.ceil(len(page["x_train"]) / config.batch_size)


def describe(layer: Any) -> tuple[Any, ...]:
    """Shape, bias, activation and penalty of a dense layer."""
    return (
        tuple(layer.kernel.shape),
        layer.use_bias,
        keras.activations.serialize(layer.activation),
        layer.kernel_regularizer and layer.kernel_regularizer.get_config(),
    )


def first_weights(layer: Any) -> list[float]:
    """Largest and mean size of a large kernel drawn by a layer's initializer."""
    size = np.abs(keras.ops.convert_to_numpy(layer.kernel_initializer((1000, 1000))))
    return [float(size.max()), float(size.mean())]


def without_name(optimizer: Any) -> dict[str, Any]:
    return {key: value for key, value in optimizer.get_config().items() if key != "name"}
