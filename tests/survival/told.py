"""How a test says what it counted."""

from __future__ import annotations

from collections.abc import Callable

Told = Callable[[str], None]
