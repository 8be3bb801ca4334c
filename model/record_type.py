"""What msgspec checks a faultless record by, while it decodes one."""

from __future__ import annotations

import enum
from typing import Annotated, Any

import msgspec

from model.schema import Column, Schema


def record_type(schema: Schema) -> type[msgspec.Struct]:
    """A strict msgspec type for one faultless record of the schema."""

    def annotation(column: Column) -> Any:
        if column.kind == "number":
            kind: Any = Annotated[float, msgspec.Meta(ge=column.minimum, le=column.maximum)]
        else:
            # Any number passes here, because 1.0 is the code 1; which of them are levels is looked at
            # later, for all rows at once.
            words = {
                f"word_{number}": (float(level.code), word)
                for number, (level, word) in enumerate(
                    (level, word) for level in column.levels for word in level.spellings
                )
            }
            level_type: Any = _Level
            kind = level_type("Level", words) | float if words else float
        return kind if column.must_be_known else kind | None

    fields = [(f"c{index}", annotation(column)) for index, column in enumerate(schema.columns)]
    names = {f"c{index}": column.name for index, column in enumerate(schema.columns)}
    # Without the garbage collector: a record holds numbers and words, and can be part of no cycle.
    return msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)


class _Level(float, enum.Enum):
    """The words for the levels of a column; to msgspec a word, and to everybody else its code."""

    def __new__(cls, code: float, word: str) -> Any:
        level = float.__new__(cls, code)
        level._value_ = word
        return level
