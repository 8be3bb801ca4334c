"""The activations that a config may name, and functions of one's own that were handed in.

A name with a colon stands for code. It is imported where a person gave it on the command line, and
nowhere else: an artifact that names such a function is only rebuilt where the same name was handed
in before.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from model.errors import InvalidConfig

ACTIVATION_NAMES = ("relu", "leaky_relu", "tanh", "sigmoid", "softmax", "linear")

Activation = Callable[[Any], Any]
"""Elementwise, written with ``keras.ops``, so that it runs on every backend and can be exported."""

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_registered: dict[str, Activation] = {}


def is_import_path(name: str) -> bool:
    """Whether a name stands for a function of one's own: ``package.module:function``."""
    return _IMPORT_PATH.fullmatch(name) is not None


def is_valid_activation(name: str) -> bool:
    """Whether a config may name it."""
    return name in ACTIVATION_NAMES or is_import_path(name)


def register_custom_activation(name: str) -> None:
    """Import a function of one's own, so that networks can be built with it.

    Args:
        name: ``package.module:function``, as a person gave it on the command line. Never a name
            that was read from a file.

    Raises:
        InvalidConfig: there is no such module, or no such function in it.
    """
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise InvalidConfig(f"activation: {name}: {error}") from None
    if not callable(function):
        raise InvalidConfig(f"activation: {name}: expected a function, found {type(function)}")
    _registered[name] = function


def registered_activations() -> tuple[str, ...]:
    """The names of the functions that were handed in."""
    return tuple(_registered)


def resolve(name: str) -> str | Activation:
    """What Keras is given: the name of one of its own, or the function that was handed in.

    Raises:
        InvalidConfig: a function of one's own that was not handed in.
    """
    if not is_import_path(name):
        return name
    try:
        return _registered[name]
    except KeyError:
        raise InvalidConfig(
            f"activation: {name} is code that no artifact may have imported; name it on the "
            f"command line: --activation {name}"
        ) from None
