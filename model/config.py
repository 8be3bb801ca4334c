"""The choices of a training, with their limits, and the two named sets of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from model.errors import InvalidConfig

Units = Annotated[int, Meta(ge=1, le=4096)]


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a network is built and fitted. The defaults are the recipe ``default``.

    With Keras's own first weights and 100 epochs, 497 parameters overfit 303 patients: they are
    then worse than logistic regression. Started ten times smaller and stopped at 30 epochs, the
    same network is level with it; docs/decisions/0004 has the figures.

    Attributes:
        hidden: units of each hidden layer; empty for logistic regression.
        activation: of the hidden layers.
        initial_weights: of the first kernel: ``small`` draws from a uniform distribution with a
            tenth of Glorot's spread, ``glorot`` is Keras's default. Other kernels are Glorot's.
        learning_rate: of Adam.
        l2: weight of the sum of squared kernel weights in the loss.
        validation_share: of the rows, stratified, that are only looked at; 0 for none.
        seed: of the first weights, the order of the rows and the validation split.
    """

    hidden: Annotated[tuple[Units, ...], Meta(max_length=16)] = (16,)
    activation: Literal["relu", "leaky_relu", "tanh", "sigmoid", "linear"] = "relu"
    initial_weights: Literal["small", "glorot"] = "small"
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 1e-3
    batch_size: Annotated[int, Meta(ge=1, le=1_000_000)] = 32
    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 30
    l2: Annotated[float, Meta(ge=0, le=10)] = 1e-3
    validation_share: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0


RECIPES: Mapping[str, TrainingConfig] = {
    "default": TrainingConfig(),
    "textbook": TrainingConfig(initial_weights="glorot", epochs=100, l2=0.0),
}


def make_config(
    recipe: str = "default", file: Path | None = None, settings: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """A recipe, changed by what a TOML file says, changed by single settings.

    Args:
        recipe: a key of :data:`RECIPES`.
        file: TOML with keys named like the attributes of :class:`TrainingConfig`.
        settings: of the command line; a value of None is one that was not given.

    Raises:
        InvalidConfig: every setting that is unknown or out of its limits, at once.
    """
    if recipe not in RECIPES:
        raise InvalidConfig(f"recipe: expected one of {', '.join(RECIPES)}, received {recipe!r}")
    chosen = msgspec.structs.asdict(RECIPES[recipe])
    chosen |= _read_file(file) if file else {}
    chosen |= {name: value for name, value in (settings or {}).items() if value is not None}
    problems = []
    for name, value in chosen.items():
        try:
            msgspec.convert({name: value}, TrainingConfig)
        except msgspec.ValidationError as error:
            reason = str(error).split(" - at `")[0]
            problems.append(f"{name}: {reason}, received {value!r}")
    if problems:
        raise InvalidConfig("; ".join(problems))
    return msgspec.convert(chosen, TrainingConfig)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfig(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{file}: {error}") from None
