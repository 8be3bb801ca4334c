"""Activations by name, and the registry of custom activation functions.

A name with a colon refers to code: ``package.module:function``. Such a function is imported only if
a person named it on the command line. A network whose artifact names a custom function is only
rebuilt if the same function was registered before.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from model.errors import InvalidConfig

ACTIVATION_NAMES = ("relu", "leaky_relu", "tanh", "sigmoid", "softmax", "linear")

Activation = Callable[[Any], Any]
"""An elementwise function in ``keras.ops``, which runs on every backend and can be exported."""

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_registered: dict[str, Activation] = {}


def is_import_path(name: str) -> bool:
    """Return True if a name refers to a custom function: ``package.module:function``."""
    return _IMPORT_PATH.fullmatch(name) is not None


def is_valid_activation(name: str) -> bool:
    """Return True if a config may name this activation."""
    return name in ACTIVATION_NAMES or is_import_path(name)


def register_custom_activation(name: str) -> None:
    """Import and register a custom activation function.

    Args:
        name: ``package.module:function`` from the command line. Never pass a name that was read
            from a file: importing it runs code.

    Raises:
        InvalidConfig: the module cannot be imported, or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise InvalidConfig(f"activation: {name}: {error}") from None
    if not callable(function):
        raise InvalidConfig(f"activation: {name}: expected a function, received {type(function)}")
    _registered[name] = function


def registered_activations() -> tuple[str, ...]:
    """Return the names of the registered custom functions."""
    return tuple(_registered)


def resolve(name: str) -> str | Activation:
    """Return what Keras takes as an activation: a built-in name or a registered function.

    Raises:
        InvalidConfig: a custom function that was not registered.
    """
    if not is_import_path(name):
        return name
    try:
        return _registered[name]
    except KeyError:
        raise InvalidConfig(
            f"activation: {name} is a custom function, which is never imported from an artifact "
            f"or a file; name it on the command line: --activation {name}"
        ) from None
