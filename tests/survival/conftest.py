"""What the tests of survival share."""

from __future__ import annotations

from tests.repository.test_proxy import proxy

__all__ = ["proxy"]
