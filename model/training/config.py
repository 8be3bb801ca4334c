"""The choices of a training, with their limits, and the two named sets of them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import numpy as np
from msgspec import Meta

from model.errors import InvalidConfig
from model.training.activations import ACTIVATION_NAMES, is_import_path, is_valid_activation

Units = Annotated[int, Meta(ge=1, le=4096)]
LossName = Literal["cross_entropy", "focal", "squared_error"]
Optimizer = Literal["adam", "sgd", "momentum", "nesterov", "rmsprop", "adagrad"]
Schedule = Literal["constant", "linear", "exponential", "cosine", "steps"]
InitialWeights = Literal["small", "glorot", "he", "normal", "zeros"]


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a network is built and fitted. The defaults are the recipe ``default``.

    With Keras's own first weights and 100 epochs, 497 parameters overfit 303 patients: they are
    then worse than logistic regression. Started ten times smaller and stopped at 30 epochs, the
    same network is level with it; docs/decisions/0004 has the figures.

    Attributes:
        hidden: units of each hidden layer; empty for logistic regression.
        activation: of the hidden layers: one of :data:`model.training.activations.ACTIVATION_NAMES`, or
            ``package.module:function`` of one's own.
        initial_weights: as :func:`model.training.initializers.draw_kernel` describes them.
        dropout: share of every hidden layer's units that a step leaves out.
        loss: ``focal`` gives less weight to records that are predicted well already (Lin and
            others, 2017).
        focal_gamma: how much less; 0 is cross-entropy.
        positive_class_weight: weight of the positive records in the loss: above 1, missing one costs more
            than a false alarm.
        l2: weight of the sum of squared kernel weights in the loss.
        optimizer: ``momentum`` and ``nesterov`` are ``sgd`` with either.
        momentum: of those two.
        learning_rate: of the first epoch.
        schedule: how the learning rate goes down to its last; :func:`learning_rates`.
        final_learning_rate_ratio: learning rate of the last epoch, as a share of the first; without effect where
            the schedule is constant.
        batch_size: records a step; ``all`` for one step an epoch, 1 for one by one.
        epochs: passes over the records, at most.
        patience: stop after so many epochs without a lower validation loss, and keep the best
            weights; 0 never stops. Needs a validation share.
        validation_fraction: of the rows, stratified, that are only looked at; 0 for none.
        seed: of the first weights, dropout and the validation split.
        shuffle_seed: of the order of the rows. Networks that differ in their seed alone see the same
            batches, so that many can be trained at once.

    Raises:
        ValueError: choices that do not go together; msgspec reports it as its own error.
    """

    hidden: Annotated[tuple[Units, ...], Meta(max_length=16)] = (16,)
    activation: str = "relu"
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
        if not is_valid_activation(self.activation):
            expected = ", ".join(ACTIVATION_NAMES)
            raise ValueError(f"activation: expected one of {expected}, or package.module:function")
        if self.activation == "softmax" and 1 in self.hidden:
            raise ValueError("activation: softmax over a single unit is always 1")
        if self.patience and not self.validation_fraction:
            raise ValueError("patience: early stopping needs a validation_fraction to look at")

    @property
    def gives_probabilities(self) -> bool:
        """Whether the output estimates a probability: only plain cross-entropy asks for one."""
        return self.loss == "cross_entropy" and self.positive_class_weight == 1

    def reseeded(self, start: int, order: int | None = None) -> TrainingConfig:
        """The same with other first weights, and with other batches.

        Args:
            start, order: how far either seed moves on; both by the first where only that is given.
        """
        return msgspec.structs.replace(
            self,
            seed=(self.seed + start) % 2**31,
            shuffle_seed=(self.shuffle_seed + (start if order is None else order)) % 2**31,
        )


FIELD_TYPES: Mapping[str, Any] = {f.name: f.type for f in msgspec.structs.fields(TrainingConfig)}
"""By name of a setting, what it may be."""

RECIPES: Mapping[str, TrainingConfig] = {
    "default": TrainingConfig(),
    "textbook": TrainingConfig(initial_weights="glorot", epochs=100, l2=0.0),
}


def learning_rates(config: TrainingConfig) -> np.ndarray:
    """float64 (epochs,): the learning rate of every epoch.

    ``linear``, ``exponential`` and ``cosine`` go from the first rate to the last along such a
    curve; ``steps`` has three equal stretches: the first rate, the last, and between them their
    geometric mean.
    """
    done = np.linspace(0, 1, config.epochs) if config.epochs > 1 else np.zeros(1)
    last = config.final_learning_rate_ratio
    shares = {
        "constant": np.ones_like(done),
        "linear": 1 - (1 - last) * done,
        "exponential": last**done,
        "cosine": last + (1 - last) * (1 + np.cos(np.pi * done)) / 2,
        "steps": last ** (np.arange(config.epochs) * 3 // config.epochs / 2),
    }
    return config.learning_rate * shares[config.schedule]


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
    problems = [
        f"{name}: {reason}, received {value!r}"
        for name, value in chosen.items()
        if (reason := _setting_problem(name, value))
    ]
    if problems:
        raise InvalidConfig("; ".join(problems))
    try:
        return msgspec.convert(chosen, TrainingConfig)
    except msgspec.ValidationError as error:
        raise InvalidConfig(str(error)) from None


def _setting_problem(name: str, value: Any) -> str:
    """Why a setting will not do by itself; empty if it will."""
    if name not in FIELD_TYPES:
        return "there is no such setting"
    try:
        msgspec.convert(value, FIELD_TYPES[name])
    except msgspec.ValidationError as error:
        allowed = allowed_literals(FIELD_TYPES[name])
        return f"expected one of {', '.join(allowed)}" if "enum" in str(error) else str(error)
    return ""


def allowed_literals(kind: Any) -> list[str]:
    """The words that a setting may be."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [word for part in get_args(kind) for word in allowed_literals(part)]


def _read_file(file: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfig(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{file}: {error}") from None
    activation = found.get("activation")
    if isinstance(activation, str) and is_import_path(activation):
        raise InvalidConfig(
            f"{file}: activation: a function of one's own is named on the command line, where a "
            f"person can see what is imported: --activation {activation}"
        )
    return found
