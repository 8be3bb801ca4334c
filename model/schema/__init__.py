"""The table schema: columns, levels, outcome, source, and the parsing of single values.

table_schema  Schema, Column, Level, Outcome; reading a TOML schema
data_source   where a table comes from, and known bad copies of it
value_parser  one value of one column, checked by the schema's rules
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
