"""Command-line options that several commands share, and the objects that they select."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from model.artifacts import Store
from model.calibration import METHODS
from model.schema import Schema
from model.training import RECIPES, TrainingConfig, make_config

DEFAULT_SCHEMA = Path("schemas/cleveland.toml")
DEFAULT_DATA = Path("data/cleveland.csv")


def combine(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return one decorator that adds several options, in the order in which the help lists them."""
    return lambda command: functools.reduce(lambda c, option: option(c), reversed(options), command)


_FILE = click.Path(path_type=Path, dir_okay=False)

schema_option = click.option(
    "--schema",
    type=_FILE,
    default=DEFAULT_SCHEMA,
    show_default=True,
    help="TOML file that declares the table.",
)
store_option = click.option(
    "--store",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that holds the model versions.  [default: artifacts/NAME]",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="Device to train on; auto uses a GPU if the Keras backend sees one.",
)
data_option = click.option(
    "--data",
    type=_FILE,
    default=DEFAULT_DATA,
    show_default=True,
    help="Training table, as CSV or Parquet.",
)
external_option = click.option(
    "--external",
    type=_FILE,
    help="Table of another site to evaluate on, instead of cross-validation.",
)


def _parse_hidden(
    _: click.Context, __: click.Parameter, value: str | None
) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(units) for units in value.split(",") if units.strip())
    except ValueError:
        raise click.BadParameter("expected numbers separated by commas, such as 16,8") from None


def _parse_batch_size(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    return int(value) if value and value.isdecimal() else value  # make_config validates the rest


training_options = combine(
    click.option(
        "--recipe",
        type=click.Choice(list(RECIPES)),
        help="Named training configuration to start from.  [default: default]",
    ),
    click.option("--config", type=_FILE, help="TOML file of settings that override the recipe."),
    click.option(
        "--hidden",
        callback=_parse_hidden,
        help='Units of each hidden layer, such as 16,8; "" for no hidden layer.',
    ),
    click.option(
        "--activation",
        help="Activation of the hidden layers: relu, leaky_relu, tanh, sigmoid, softmax, linear, "
        "or package.module:function for a custom one written with keras.ops.",
    ),
    click.option(
        "--initial-weights", help="Weight initializer: small, glorot, he, normal or zeros."
    ),
    click.option(
        "--dropout", type=float, help="Share of the hidden units to drop at each training step."
    ),
    click.option("--loss", help="Training loss: cross_entropy, focal or squared_error."),
    click.option("--focal-gamma", type=float, help="Focusing parameter of the focal loss."),
    click.option(
        "--positive-class-weight", type=float, help="Weight of positive records in the loss."
    ),
    click.option("--l2", type=float, help="L2 penalty on the kernels."),
    click.option(
        "--optimizer", help="Optimizer: adam, sgd, momentum, nesterov, rmsprop or adagrad."
    ),
    click.option(
        "--momentum", type=float, help="Momentum of the optimizers momentum and nesterov."
    ),
    click.option("--learning-rate", type=float, help="Learning rate of the first epoch."),
    click.option(
        "--schedule",
        help="Learning-rate schedule: constant, linear, exponential, cosine or steps.",
    ),
    click.option(
        "--final-learning-rate-ratio",
        type=float,
        help="Learning rate of the last epoch, divided by that of the first.",
    ),
    click.option(
        "--batch-size",
        callback=_parse_batch_size,
        help="Records per training step, or all for full batches.",
    ),
    click.option("--epochs", type=int, help="Maximum number of passes over the table."),
    click.option(
        "--patience",
        type=int,
        help="Stop after this many epochs without a lower validation loss; 0 disables stopping.",
    ),
    click.option(
        "--validation-fraction",
        type=float,
        help="Share of the records held out to compute the validation loss.",
    ),
    click.option(
        "--seed", type=int, help="Seed of the initial weights, dropout and validation split."
    ),
    click.option("--shuffle-seed", type=int, help="Seed of the order of the records."),
)

probability_options = combine(
    click.option(
        "--calibration",
        type=click.Choice(["auto", *METHODS]),
        default="auto",
        show_default=True,
        help="Calibration method, fitted on out-of-fold predictions; auto applies one only if it "
        "clearly lowers the log loss.",
    ),
    click.option(
        "--cost-ratio",
        type=float,
        help="Cost of a missed positive record relative to a false alarm; the decision threshold "
        "is 1/(1+RATIO).  [default: not given, threshold 0.5]",
    ),
)


def open_store(folder: Path | None, schema: Schema) -> Store:
    """Return the store in a folder, by default ``artifacts/`` and the schema's name."""
    return Store(folder or Path("artifacts") / schema.name)


def choose_config(
    recipe: str | None, config: Path | None, settings: dict[str, Any]
) -> tuple[TrainingConfig, str]:
    """Return the training configuration and the name under which its results are shown.

    Raises:
        InvalidConfig: settings are unknown or out of range; the error lists all of them.
    """
    chosen = make_config(recipe or "default", config, settings)
    name = recipe or "default"
    return chosen, name if chosen == RECIPES[name] else f"{name}, changed"
