"""What the tests of survival share."""

from __future__ import annotations

from tests.house.test_proxy import proxy

__all__ = ["proxy"]
