"""The table schema: columns, levels, outcome, source, and the parsing of single values.

table_schema  Schema, Column, Level, Outcome; loading a schema from TOML
data_source   the source of a table, and known bad copies of it
value_parser  parsing and validation of one value of one column
"""

from model.schema.data_source import RejectedCopy, Source
from model.schema.table_schema import Column, Schema, Subgroups, load_schema
from model.schema.value_parser import ValueParser, did_you_mean

__all__ = [
    "Column",
    "RejectedCopy",
    "Schema",
    "Source",
    "Subgroups",
    "ValueParser",
    "did_you_mean",
    "load_schema",
]
