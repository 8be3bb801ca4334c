"""The options that several commands share, and what they stand for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from model.artifacts import Store
from model.calibration import METHODS
from model.schema import Schema
from model.training import RECIPES, TrainingConfig, activations, make_config

DEFAULT_SCHEMA = Path("schemas/cleveland.toml")
DEFAULT_DATA = Path("data/cleveland.csv")


def combine(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Several options as one decorator, in the order in which the help shows them."""
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


_path = click.Path(path_type=Path, dir_okay=False)
schema_option = click.option("--schema", type=_path, default=DEFAULT_SCHEMA, show_default=True, help="The table's declaration.")  # fmt: skip
store_option = click.option("--store", type=click.Path(path_type=Path, file_okay=False), help="Folder of the versions.  [default: artifacts/NAME]")  # fmt: skip
device_option = click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True, help="auto takes a GPU where one is visible.")  # fmt: skip
data_option = click.option("--data", type=_path, default=DEFAULT_DATA, show_default=True, help="The table: CSV or Parquet.")  # fmt: skip
external_option = click.option("--external", type=_path, help="Evaluate on this table of another site instead.")  # fmt: skip


def _parse_hidden(
    _: click.Context, __: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(units) for units in value.split(",") if units.strip())
    except ValueError:
        raise click.BadParameter(
            "expected numbers with commas between them, such as 16,8"
        ) from None


def _parse_batch_size(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    return int(value) if value and value.isdecimal() else value  # the config says what may be


training_options = combine(
    click.option("--recipe", type=click.Choice(list(RECIPES)), help="A named set of choices.  [default: default]"),
    click.option("--config", type=_path, help="TOML with choices, which change the recipe's."),
    click.option("--hidden", callback=_parse_hidden, help='Units of the hidden layers, such as 16,8; "" for none.'),
    click.option("--activation", help="Of the hidden layers: relu, leaky_relu, tanh, sigmoid, softmax, linear, or package.module:function of your own, written with keras.ops."),
    click.option("--initial-weights", help="small, glorot, he, normal or zeros."),
    click.option("--dropout", type=float, help="Share of the hidden units that a step leaves out."),
    click.option("--loss", help="cross_entropy, focal or squared_error."),
    click.option("--focal-gamma", type=float, help="Of the focal loss."),
    click.option("--positive-class-weight", type=float, help="Weight of the positive records in the loss."),
    click.option("--l2", type=float, help="Weight of the squared kernels in the loss."),
    click.option("--optimizer", help="adam, sgd, momentum, nesterov, rmsprop or adagrad."),
    click.option("--momentum", type=float, help="Of the optimizers momentum and nesterov."),
    click.option("--learning-rate", type=float, help="Of the first epoch."),
    click.option("--schedule", help="Of the learning rate: constant, linear, exponential, cosine or steps."),
    click.option("--final-learning-rate-ratio", type=float, help="Learning rate of the last epoch, as a share of the first."),
    click.option("--batch-size", callback=_parse_batch_size, help="Records a step, or all."),
    click.option("--epochs", type=int, help="Passes over the table, at most."),
    click.option("--patience", type=int, help="Epochs without a lower validation loss before stopping; 0 never stops."),
    click.option("--validation-fraction", type=float, help="Share of the records only looked at."),
    click.option("--seed", type=int, help="Of first weights, dropout and validation split."),
    click.option("--shuffle-seed", type=int, help="Of the order of the records."),
)  # fmt: skip

probability_options = combine(
    click.option("--calibration", type=click.Choice(["auto", *METHODS]), default="auto", show_default=True, help="Of the probabilities, fitted out of fold; auto takes one only where it helps."),
    click.option("--cost-ratio", type=float, help="What a missed patient costs, in false alarms; the threshold is 1/(1+RATIO).  [default: not stated, threshold 0.5]"),
)  # fmt: skip


def open_store(folder: Path | None, schema: Schema) -> Store:
    """The versions in a folder, or in the folder of a schema's name."""
    return Store(folder or Path("artifacts") / schema.name)


def choose_config(
    recipe: str | None, config: Path | None, settings: dict[str, Any]
) -> tuple[TrainingConfig, str]:
    """The config, and the name under which its results are shown.

    Raises:
        InvalidConfig: every setting that is unknown or out of its limits, at once.
    """
    chosen = make_config(recipe or "default", config, settings)
    name = recipe or "default"
    return chosen, name if chosen == RECIPES[name] else f"{name}, changed"


def import_custom_activation(settings: dict[str, Any]) -> None:
    """Import an activation of one's own that the command line names, once the device is chosen."""
    name = settings["activation"]
    if name and activations.is_import_path(name):
        activations.register_custom_activation(name)
