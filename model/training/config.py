"""The training configuration: settings, their limits, and named recipes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import numpy as np
from msgspec import Meta

from model.errors import InvalidConfig
from model.inference import ActivationName

Units = Annotated[int, Meta(ge=1, le=4096)]
LossName = Literal["cross_entropy", "focal", "squared_error"]
Optimizer = Literal["adam", "sgd", "momentum", "nesterov", "rmsprop", "adagrad"]
Schedule = Literal["constant", "linear", "exponential", "cosine", "steps"]
InitialWeights = Literal["small", "glorot", "he", "normal", "zeros"]


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The architecture and the training settings of a network.

    The defaults are the recipe ``default``. With the initial weights of Keras and 100 epochs, 497
    parameters overfit 303 patients and perform worse than logistic regression. With a tenth of the
    initial weights in the first layer, L2 and 30 epochs, the same network matches logistic
    regression; docs/decisions/0004 has the figures.

    Attributes:
        hidden: units of each hidden layer; empty for logistic regression.
        activation: activation of the hidden layers.
        initial_weights: initializer of the kernels; see
            :func:`model.training.initializers.draw_kernel`.
        dropout: fraction of each hidden layer's units that a training step drops.
        loss: ``focal`` gives less weight to records that are already predicted well (Lin and
            others, 2017).
        focal_gamma: focusing parameter of the focal loss; 0 is cross-entropy.
        positive_class_weight: weight of the positive records in the loss. Above 1, a false negative
            costs more than a false positive.
        l2: weight of the sum of squared kernel weights in the loss.
        optimizer: ``momentum`` and ``nesterov`` are ``sgd`` with classical and with Nesterov
            momentum.
        momentum: momentum of these two optimizers.
        learning_rate: learning rate of the first epoch.
        schedule: learning-rate schedule; see :func:`learning_rates`.
        final_learning_rate_ratio: learning rate of the last epoch as a fraction of the first; no
            effect with a constant schedule.
        batch_size: records per step; ``all`` for one step per epoch.
        epochs: maximum number of passes over the records.
        patience: epochs without a lower validation loss after which training stops and restores the
            best weights; 0 disables early stopping. Requires a validation fraction.
        validation_fraction: fraction of the rows held out for validation, stratified; 0 for none.
        seed: seed of the initial weights, dropout and the validation split.
        shuffle_seed: seed of the order of the rows. Networks that differ only in ``seed`` see the
            same batches, so many of them can be trained in one program.

    Raises:
        ValueError: settings that contradict each other; msgspec reports it as its own error.
    """

    hidden: Annotated[tuple[Units, ...], Meta(max_length=16)] = (16,)
    activation: ActivationName = "relu"
    initial_weights: InitialWeights = "small"
    dropout: Annotated[float, Meta(ge=0, le=0.9)] = 0.0
    loss: LossName = "cross_entropy"
    focal_gamma: Annotated[float, Meta(ge=0, le=10)] = 2.0
    positive_class_weight: Annotated[float, Meta(ge=0.01, le=100)] = 1.0
    l2: Annotated[float, Meta(ge=0, le=10)] = 1e-3
    optimizer: Optimizer = "adam"
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    learning_rate: Annotated[float, Meta(gt=0, le=10)] = 1e-3
    schedule: Schedule = "constant"
    final_learning_rate_ratio: Annotated[float, Meta(gt=0, le=1)] = 0.01
    batch_size: Annotated[int, Meta(ge=1, le=1_000_000)] | Literal["all"] = 32
    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 30
    patience: Annotated[int, Meta(ge=0, le=100_000)] = 0
    validation_fraction: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    shuffle_seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0

    def __post_init__(self) -> None:
        if self.activation == "softmax" and 1 in self.hidden:
            raise ValueError("activation: softmax over a single unit is always 1")
        if self.patience and not self.validation_fraction:
            raise ValueError("patience: early stopping needs a validation_fraction above 0")

    @property
    def gives_probabilities(self) -> bool:
        """True if the output estimates a probability; only unweighted cross-entropy does."""
        return self.loss == "cross_entropy" and self.positive_class_weight == 1

    def reseeded(self, offset: int, shuffle_offset: int | None = None) -> TrainingConfig:
        """Return the config with other initial weights and other batches.

        Args:
            offset: added to ``seed``.
            shuffle_offset: added to ``shuffle_seed``; ``offset`` if None.
        """
        if shuffle_offset is None:
            shuffle_offset = offset
        return msgspec.structs.replace(
            self,
            seed=(self.seed + offset) % 2**31,
            shuffle_seed=(self.shuffle_seed + shuffle_offset) % 2**31,
        )


FIELD_TYPES: Mapping[str, Any] = {f.name: f.type for f in msgspec.structs.fields(TrainingConfig)}
"""The type of each setting, by name."""

RECIPES: Mapping[str, TrainingConfig] = {
    "default": TrainingConfig(),
    "textbook": TrainingConfig(initial_weights="glorot", epochs=100, l2=0.0),
}


def learning_rates(config: TrainingConfig) -> np.ndarray:
    """Return the learning rate of each epoch.

    ``linear``, ``exponential`` and ``cosine`` decrease from the first rate to the last along a
    line, an exponential curve or half a cosine wave. ``steps`` has three stages of equal length:
    the first rate, the geometric mean of the first and the last, and the last.

    Returns:
        float64 (epochs,).
    """
    progress = np.linspace(0, 1, config.epochs) if config.epochs > 1 else np.zeros(1)
    final = config.final_learning_rate_ratio
    ratios = {
        "constant": np.ones_like(progress),
        "linear": 1 - (1 - final) * progress,
        "exponential": final**progress,
        "cosine": final + (1 - final) * (1 + np.cos(np.pi * progress)) / 2,
        "steps": final ** (np.arange(config.epochs) * 3 // config.epochs / 2),
    }
    return config.learning_rate * ratios[config.schedule]


def make_config(
    recipe: str = "default", file: Path | None = None, settings: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """Return a recipe, overridden by a TOML file, overridden by single settings.

    Args:
        recipe: a key of :data:`RECIPES`.
        file: TOML file whose keys are attributes of :class:`TrainingConfig`.
        settings: settings of the command line; None for a setting that was not given.

    Raises:
        InvalidConfig: all settings that are unknown or outside their limits, or a file that cannot
            be read.
    """
    if recipe not in RECIPES:
        raise InvalidConfig(f"recipe: expected one of {', '.join(RECIPES)}, received {recipe!r}")
    merged = msgspec.structs.asdict(RECIPES[recipe])
    merged |= _read_file(file) if file else {}
    merged |= {name: value for name, value in (settings or {}).items() if value is not None}
    problems = [
        f"{name}: {problem}, received {value!r}"
        for name, value in merged.items()
        if (problem := _setting_problem(name, value))
    ]
    if problems:
        raise InvalidConfig("; ".join(problems))
    try:
        return msgspec.convert(merged, TrainingConfig)
    except msgspec.ValidationError as error:
        raise InvalidConfig(str(error)) from None


def _setting_problem(name: str, value: Any) -> str:
    """Return the problem of one setting on its own; empty if it is valid."""
    if name not in FIELD_TYPES:
        return "unknown setting"
    try:
        msgspec.convert(value, FIELD_TYPES[name])
    except msgspec.ValidationError as error:
        allowed = allowed_literals(FIELD_TYPES[name])
        return f"expected one of {', '.join(allowed)}" if "enum" in str(error) else str(error)
    return ""


def allowed_literals(field_type: Any) -> list[str]:
    """Return the strings that a type of :data:`FIELD_TYPES` lists as literals."""
    if get_origin(field_type) is Literal:
        return list(get_args(field_type))
    return [literal for part in get_args(field_type) for literal in allowed_literals(part)]


def _read_file(file: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfig(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{file}: {error}") from None
    return settings
