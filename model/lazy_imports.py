"""Attributes of a package that are imported on first use (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_attributes(package: str, modules: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package whose names are imported on first use.

    A package can then re-export names of modules that import Keras, pandas or matplotlib, and
    importing the package stays fast.

    Args:
        package: the package's ``__name__``.
        modules: the names that the package re-exports, by submodule.

    >>> lazy_attributes("model.schema", {"table_schema": ["Level"]})("Level").__name__
    'Level'
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def getattr_of_package(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)

    return getattr_of_package
