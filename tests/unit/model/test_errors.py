from __future__ import annotations

import inspect

from model import errors


def drawn_parents(tree: str) -> dict[str, str]:
    """Return the parent of each class in the tree of the docstring; four characters per level."""
    parents: dict[str, str] = {}
    ancestors: list[str] = []
    for line in tree.splitlines():
        drawing = line.removeprefix("    ")
        name = drawing.lstrip("│├└─ ").partition(" ")[0]
        if drawing == line or not name:
            continue
        depth = (len(drawing) - len(drawing.lstrip("│├└─ "))) // 4
        ancestors[depth:] = [name]
        if depth:
            parents[name] = ancestors[depth - 1]
    return parents


def test_the_docstring_draws_every_exception_under_its_parent() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]
    parents = {
        cls.__name__: cls.__base__.__name__
        for cls in classes
        if cls is not errors.ModelError and cls.__base__ is not None
    }
    assert drawn_parents(errors.__doc__ or "") == parents
