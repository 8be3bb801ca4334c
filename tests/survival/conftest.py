"""What the tests of survival share."""

from __future__ import annotations

import pytest

from tests.house.test_proxy import proxy
from tests.survival.told import Told

__all__ = ["proxy", "told"]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Told:
    """Print what was counted, also where the test passes."""

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {request.node.name}: {text}")  # noqa: T201

    return tell
