"""Fixtures shared by the survival tests."""

from __future__ import annotations

from tests.repository.test_proxy import proxy

__all__ = ["proxy"]
