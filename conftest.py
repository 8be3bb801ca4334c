"""Names that the doctests use, and the profile of hypothesis for quick tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from model.records import RecordValidator
from model.schema import load_schema

# Not importable here: a gunicorn configuration, an application that opens a store on import, and
# programs that need other environments.
collect_ignore = ["app/gunicorn.conf.py", "bench/tutorial.py", "bench/peers"]

# A tenth of the default 100 examples; make test-fast selects this profile.
settings.register_profile("fast", max_examples=10, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--trained``, which runs the unit tests of the service on a trained version."""
    parser.addoption("--trained", action="store_true", help="unit tests on a trained version")


@pytest.fixture(autouse=True)
def _examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    if not isinstance(request.node, pytest.DoctestItem):
        return
    schema = load_schema(Path(__file__).parent / "schemas/cleveland.toml")
    doctest_namespace["np"] = np
    doctest_namespace["schema"] = schema
    doctest_namespace["column"] = {column.name: column for column in schema.columns}
    doctest_namespace["validator"] = RecordValidator(schema)
    doctest_namespace["scorer"] = request.getfixturevalue("scorer_of_two_columns")


@pytest.fixture(scope="session")
def scorer_of_two_columns(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the scorer of a hand-made version with two columns: a dose in mg, a stage 1 to 3."""
    # Imported here because most tests need neither ONNX nor an artifact.
    from model.artifacts.artifact import write_artifact
    from model.inference import Scorer
    from tests.unit import tiny

    folder = tmp_path_factory.mktemp("examples")
    return Scorer(write_artifact(folder / "1", tiny.manifest(), tiny.files()))
