"""Every environment variable that the service reads, with its default and meaning."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class InvalidSettings(Exception):
    """Environment variables outside what is allowed; the message lists every one."""


def _setting(default: Any, meaning: str, read: Callable[[str], Any] = str) -> Any:
    return field(default=default, metadata={"meaning": meaning, "read": read})


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    number = float(text)
    if not 0.05 <= number <= 3600:
        raise ValueError("expected seconds, from 0.05 to 3600")
    return number


def _level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("expected debug, info, warning or error")
    return text.lower()


@dataclass(frozen=True)
class Settings:
    """The service's settings; each is the environment variable of its name in capitals."""

    model_store: Path = _setting(
        Path("artifacts/cleveland"), "folder of the versions, or of a single one", Path
    )
    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 for every one")
    port: int = _setting(8080, "port to listen on", _whole(1, 65535))
    workers: int = _setting(2, "processes that answer requests", _whole(1, 256))
    max_body_bytes: int = _setting(8 * 1024 * 1024, "longest body of a request", _whole(1, 2**31))
    max_records: int = _setting(10_000, "most records in one request", _whole(1, 10_000_000))
    reload_seconds: float = _setting(
        1.0, "how often a worker looks whether another version is current", _seconds
    )
    client_seconds: int = _setting(
        10, "how long a worker waits for a client that has stopped sending", _whole(1, 3600)
    )
    graceful_seconds: int = _setting(
        30, "time that requests get to finish when the service is stopped", _whole(1, 3600)
    )
    log_level: str = _setting("info", "debug, info, warning or error", _level)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the settings; what is absent or empty has its default.

        Args:
            environment: the process's own unless given.

        Raises:
            InvalidSettings: every variable that is outside what is allowed, at once.
        """
        environment = os.environ if environment is None else environment
        found, problems = {}, []
        for setting in dataclasses.fields(cls):
            text = environment.get(setting.name.upper(), "").strip()
            if text:
                try:
                    found[setting.name] = setting.metadata["read"](text)
                except ValueError as error:
                    problems.append(f"{setting.name.upper()}: {error}, received {text!r}")
        if problems:
            raise InvalidSettings("; ".join(problems))
        return cls(**found)
