"""What the examples in docstrings may use without making it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.records import RecordValidator
from model.schema import load_schema


@pytest.fixture(autouse=True)
def _examples(doctest_namespace: dict[str, Any]) -> None:
    schema = load_schema(Path(__file__).parent / "schemas/cleveland.toml")
    doctest_namespace["np"] = np
    doctest_namespace["schema"] = schema
    doctest_namespace["column"] = {column.name: column for column in schema.columns}
    doctest_namespace["reader"] = RecordValidator(schema)
