"""Records: JSON bodies and Python objects as validated arrays.

batch         the validated records of one request
validator     validation that reports every problem of every record at once
fast_decoder  a compiled decoder for valid bodies
strict_json   JSON parsing that keeps repeated keys, NaN and huge numbers
"""

from model.records.batch import OPTIONS, Batch, ColumnValues
from model.records.strict_json import MAX_NESTING, count_colons, duplicate_keys, parse_strict_json
from model.records.validator import (
    DUPLICATE_KEY_MESSAGE,
    MAX_LISTED_PROBLEMS,
    RecordValidator,
    printable,
)

__all__ = [
    "DUPLICATE_KEY_MESSAGE",
    "MAX_LISTED_PROBLEMS",
    "MAX_NESTING",
    "OPTIONS",
    "Batch",
    "ColumnValues",
    "RecordValidator",
    "count_colons",
    "duplicate_keys",
    "parse_strict_json",
    "printable",
]
