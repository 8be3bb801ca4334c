"""Records: JSON bodies and Python objects as validated arrays.

batch         the validated records of one request
validator     every problem of every record at once
fast_decoder  a compiled decoder for valid bodies
strict_json   JSON that keeps repeated keys, NaN and huge numbers
"""

from model.records.batch import OPTIONS, Batch, Given
from model.records.strict_json import MAX_NESTING, count_colons, parse, repeated_keys
from model.records.validator import MAX_LISTED_PROBLEMS, REPEATED, RecordReader, printable

__all__ = [
    "MAX_LISTED_PROBLEMS",
    "MAX_NESTING",
    "OPTIONS",
    "REPEATED",
    "Batch",
    "Given",
    "RecordReader",
    "count_colons",
    "parse",
    "printable",
    "repeated_keys",
]
