"""JSON Schemas of msgspec types, with descriptions from their docstrings."""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec

from app.routing import Json


def derive_schemas(*types: Any) -> Json:
    """Return JSON Schemas by type name, of the types and of the structs that they contain.

    The first paragraph of a docstring becomes the description of the schema, and each entry under
    ``Attributes:`` the description of a property.
    """
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_name = {t.__name__: t for t in _all_structs(types)}
    for name, schema in schemas.items():
        text, attributes = parse_docstring(inspect.getdoc(by_name[name]) or "")
        schema["description"] = text
        for attribute, meaning in attributes.items():
            if attribute in schema["properties"]:
                schema["properties"][attribute]["description"] = meaning
        for property_ in schema["properties"].values():
            if "default" in property_ and not property_["default"]:
                del property_["default"]  # an empty value may also be absent from the body
    return schemas


def _all_structs(types: Any) -> list[Any]:
    """Return the types, and the classes of the modules that define them."""
    modules = [inspect.getmodule(t) for t in types]
    return [*types, *(t for m in modules for t in vars(m).values() if inspect.isclass(t))]


def parse_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a docstring, and the description of each attribute.

    >>> text = "A row.\\n\\nAttributes:\\n    low, high: the\\n        range.\\n    n: count."
    >>> parse_docstring(text)
    ('A row.', {'low': 'the range.', 'high': 'the range.', 'n': 'count.'})
    """
    first, _, rest = text.partition("Attributes:")
    summary = first.strip().split("\n\n")[0]
    entries = re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", rest, re.M)
    return " ".join(summary.split()), {
        name.strip(): " ".join(meaning.replace("``", "").split())
        for names, meaning in entries
        for name in names.split(",")
    }
