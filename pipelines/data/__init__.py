"""Tables: reading of files, validation against the schema, preprocessing.

raw_table       the cells of a CSV or Parquet file
table           a table validated against its schema
external_table  the table of another site, read with tolerance for missing and impossible values
preprocessing   a scikit-learn ColumnTransformer built from the schema
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from pipelines.data.external_table import ExternalTable as ExternalTable
    from pipelines.data.external_table import read_external_table as read_external_table
    from pipelines.data.preprocessing import build_preprocessing as build_preprocessing
    from pipelines.data.preprocessing import read_encoding as read_encoding
    from pipelines.data.table import Table as Table
    from pipelines.data.table import read_table as read_table
else:
    __getattr__ = lazy_attributes(
        __name__,
        {
            "external_table": (
                "ExternalTable",
                "read_external_table",
            ),
            "preprocessing": (
                "build_preprocessing",
                "read_encoding",
            ),
            "table": (
                "Table",
                "read_table",
            ),
        },
    )
