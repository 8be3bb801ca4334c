from __future__ import annotations

from pathlib import Path

import pytest

from model.errors import InvalidConfig
from model.training import RECIPES, TrainingConfig, make_config
from model.training.config import learning_rates


def test_the_two_recipes() -> None:
    default, textbook = RECIPES["default"], RECIPES["textbook"]
    assert (default.initial_weights, default.l2, default.epochs) == ("small", 1e-3, 30)
    assert (textbook.initial_weights, textbook.l2, textbook.epochs) == ("glorot", 0.0, 100)
    for recipe in (default, textbook):
        assert (recipe.hidden, recipe.activation, recipe.batch_size) == ((16,), "relu", 32)
        assert (recipe.learning_rate, recipe.validation_fraction) == (1e-3, 0.0)


def test_a_file_changes_the_recipe_and_the_command_line_changes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "training.toml"
    file.write_text('hidden = [8, 4]\nepochs = 5\nactivation = "tanh"\n')
    config = make_config("textbook", file, {"epochs": 7, "l2": None})
    expected = TrainingConfig(
        hidden=(8, 4), epochs=7, activation="tanh", initial_weights="glorot", l2=0.0
    )
    assert config == expected


def test_one_error_names_every_setting_outside_its_limits() -> None:
    with pytest.raises(InvalidConfig) as caught:
        make_config(settings={"hidden": (16, 0), "epochs": 0, "seed": -1, "layers": 3})
    message = str(caught.value)
    assert all(name in message for name in ("hidden", "epochs", "seed", "layers"))
    assert "l2" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", (5000,)),
        ("activation", "module.function"),
        ("activation", "swish"),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("batch_size", 0),
        ("batch_size", "some"),
        ("l2", -0.1),
        ("validation_fraction", 0.6),
        ("epochs", 2.5),
        ("initial_weights", "ones"),
        ("dropout", 1.0),
        ("loss", "hinge"),
        ("focal_gamma", -1.0),
        ("positive_class_weight", 0.0),
        ("optimizer", "adamw"),
        ("momentum", 1.0),
        ("schedule", "step"),
        ("final_learning_rate_ratio", 0.0),
        ("patience", -1),
        ("shuffle_seed", -1),
    ],
)
def test_limits(name: str, value: object) -> None:
    with pytest.raises(InvalidConfig, match=name):
        make_config(settings={name: value})


def test_the_error_lists_the_allowed_values() -> None:
    with pytest.raises(InvalidConfig, match="expected one of cross_entropy, focal, squared_error"):
        make_config(settings={"loss": "hinge"})
    with pytest.raises(InvalidConfig, match="expected one of relu, leaky_relu, elu, gelu, silu"):
        make_config(settings={"activation": "swish"})


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(InvalidConfig, match="needs a validation_fraction"):
        make_config(settings={"patience": 3})
    with pytest.raises(InvalidConfig, match="softmax over a single unit"):
        make_config(settings={"activation": "softmax", "hidden": (4, 1)})


def test_only_plain_cross_entropy_gives_probabilities() -> None:
    assert TrainingConfig().gives_probabilities
    assert TrainingConfig(hidden=(), dropout=0.5, l2=1.0).gives_probabilities
    for settings in ({"loss": "focal"}, {"loss": "squared_error"}, {"positive_class_weight": 2.0}):
        assert not make_config(settings=settings).gives_probabilities


def test_schedules_decrease_from_the_first_rate_to_the_last() -> None:
    def rates(schedule: str, epochs: int = 9) -> list[float]:
        settings = {
            "schedule": schedule,
            "epochs": epochs,
            "learning_rate": 0.1,
            "final_learning_rate_ratio": 0.01,
        }
        return learning_rates(make_config(settings=settings)).tolist()

    assert rates("constant") == [0.1] * 9
    for schedule in ("linear", "exponential", "cosine", "steps"):
        decreasing = rates(schedule)
        assert len(decreasing) == 9 and decreasing == sorted(decreasing, reverse=True)
        assert [decreasing[0], decreasing[-1]] == pytest.approx([0.1, 0.001])
        assert rates(schedule, epochs=1) == [pytest.approx(0.1)]
    assert rates("linear")[4] == pytest.approx((0.1 + 0.001) / 2)
    assert rates("cosine")[4] == pytest.approx((0.1 + 0.001) / 2)
    assert rates("exponential")[4] == pytest.approx(0.01)
    assert rates("steps") == pytest.approx([0.1] * 3 + [0.01] * 3 + [0.001] * 3)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="No such file"):
        make_config(file=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("epochs =")
    with pytest.raises(InvalidConfig, match=r"bad\.toml"):
        make_config(file=tmp_path / "bad.toml")
    with pytest.raises(InvalidConfig, match="recipe"):
        make_config("best")
