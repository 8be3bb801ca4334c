"""JSON Schemas of types, with what the types' docstrings say."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from app.openapi.operations import Json


def derive_schemas(*types: Any) -> Json:
    """JSON Schemas of types, with what their docstrings say of each attribute."""
    _, found = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_name = {t.__name__: t for t in _all_structs(types)}
    for name, schema in found.items():
        text, attributes = parse_docstring(inspect.getdoc(by_name[name]) or "")
        schema["description"] = text
        for attribute, meaning in attributes.items():
            if attribute in schema["properties"]:
                schema["properties"][attribute]["description"] = meaning
        for described in schema["properties"].values():
            if "default" in described and not described["default"]:
                del described["default"]  # what is empty is left out, or empty
    return found


def _all_structs(types: Any) -> list[Any]:
    """The types, and the structs that stand in their modules."""
    modules = [inspect.getmodule(t) for t in types]
    return [*types, *(t for m in modules for t in vars(m).values() if inspect.isclass(t))]


def parse_docstring(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says first, and what it says of each attribute.

    >>> parse_docstring("A row.\\n\\nAttributes:\\n    low, high: the\\n        range.\\n    n: count.")
    ('A row.', {'low': 'the range.', 'high': 'the range.', 'n': 'count.'})
    """
    first, _, rest = text.partition("Attributes:")
    told = first.strip().split("\n\n")[0]
    found = re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", rest, re.M)
    return " ".join(told.split()), {
        name.strip(): " ".join(meaning.replace("``", "").split())
        for names, meaning in found
        for name in names.split(",")
    }
