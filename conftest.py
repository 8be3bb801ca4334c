"""What the examples in docstrings may use without making it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from model.records import RecordValidator
from model.schema import load_schema

# Neither is a module to import: a configuration, an application that opens a store while it is
# imported, and programs for environments of their own.
collect_ignore = ["app/gunicorn.conf.py", "bench/tutorial.py", "bench/peers"]

# A tenth of the examples that hypothesis tries otherwise; make test-fast asks for it.
settings.register_profile("fast", max_examples=10, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--trained``, with which the unit tests of the service run on a trained version."""
    parser.addoption("--trained", action="store_true", help="unit tests on a trained version")


@pytest.fixture(autouse=True)
def _examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    if not isinstance(request.node, pytest.DoctestItem):
        return
    schema = load_schema(Path(__file__).parent / "schemas/cleveland.toml")
    doctest_namespace["np"] = np
    doctest_namespace["schema"] = schema
    doctest_namespace["column"] = {column.name: column for column in schema.columns}
    doctest_namespace["reader"] = RecordValidator(schema)
    doctest_namespace["scorer"] = request.getfixturevalue("scorer_of_two_columns")


@pytest.fixture(scope="session")
def scorer_of_two_columns(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The scorer of a version made by hand: a dose in mg, and a stage of 1, 2 or 3."""
    # Only where an example is run: most tests need neither ONNX nor a version.
    from model.artifacts.artifact import write_artifact
    from model.inference import Scorer
    from tests.unit import tiny

    folder = tmp_path_factory.mktemp("examples")
    return Scorer(write_artifact(folder / "1", tiny.manifest(), tiny.files()))
