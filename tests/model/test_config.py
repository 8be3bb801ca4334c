from __future__ import annotations

from pathlib import Path

import pytest

from model.config import RECIPES, TrainingConfig, make_config
from model.errors import InvalidConfig


def test_the_two_recipes() -> None:
    default, textbook = RECIPES["default"], RECIPES["textbook"]
    assert (default.initial_weights, default.l2, default.epochs) == ("small", 1e-3, 30)
    assert (textbook.initial_weights, textbook.l2, textbook.epochs) == ("glorot", 0.0, 100)
    for recipe in (default, textbook):
        assert (recipe.hidden, recipe.activation, recipe.batch_size) == ((16,), "relu", 32)
        assert (recipe.learning_rate, recipe.validation_share) == (1e-3, 0.0)


def test_a_file_changes_the_recipe_and_the_command_line_changes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "training.toml"
    file.write_text('hidden = [8, 4]\nepochs = 5\nactivation = "tanh"\n')
    config = make_config("textbook", file, {"epochs": 7, "l2": None})
    expected = TrainingConfig(
        hidden=(8, 4), epochs=7, activation="tanh", initial_weights="glorot", l2=0.0
    )
    assert config == expected


def test_every_setting_outside_its_limits_is_named_at_once() -> None:
    with pytest.raises(InvalidConfig) as caught:
        make_config(settings={"hidden": (16, 0), "epochs": 0, "seed": -1, "layers": 3})
    message = str(caught.value)
    assert all(name in message for name in ("hidden", "epochs", "seed", "layers"))
    assert "l2" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", (5000,)), ("activation", "module:function"), ("learning_rate", 0.0),
        ("learning_rate", float("nan")), ("batch_size", 0), ("l2", -0.1),
        ("validation_share", 0.6), ("initial_weights", "zeros"), ("epochs", 2.5),
    ],
)  # fmt: skip
def test_limits(name: str, value: object) -> None:
    with pytest.raises(InvalidConfig, match=name):
        make_config(settings={name: value})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="No such file"):
        make_config(file=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs =")
    with pytest.raises(InvalidConfig, match=r"bad\.toml"):
        make_config(file=tmp_path / "bad.toml")
    with pytest.raises(InvalidConfig, match="recipe"):
        make_config("best")
