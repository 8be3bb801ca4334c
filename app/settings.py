"""The environment variables of the service, with their defaults and meanings."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.api_keys import ApiKeys
from app.cloud_environment import translate_cloud_environment


class InvalidSettings(Exception):
    """Environment variables with values that are not allowed; the message lists all of them."""


_PATH = re.compile(r"(/[A-Za-z0-9._~:@!$&'()*+,;=-]+)+")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def _setting(default: Any, meaning: str, parse: Callable[[str], Any] = str) -> Any:
    metadata = {"meaning": meaning, "parse": parse}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.05 <= seconds <= 3600:
        raise ValueError("expected a number of seconds from 0.05 to 3600")
    return seconds


def _versions(text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.lower().split(","))
    if words not in (("current",), ("all",)) and not all(word.isdecimal() for word in words):
        raise ValueError("expected current, all, or version numbers such as 3,4")
    return words


def _labels(text: str) -> dict[str, str]:
    pairs = [word.strip().partition("=") for word in text.split(",")]
    if not all(_LABEL.fullmatch(name) and number.isdecimal() for name, _, number in pairs):
        raise ValueError("expected labels such as canary=4,stable=3")
    return {name: number for name, _, number in pairs}


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise ValueError("expected a path such as /v1/health")
    return text


def _keys(text: str) -> str:
    ApiKeys(text)
    return text


def _keys_file(text: str) -> Path:
    try:
        ApiKeys(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    return Path(text)


def _log_format(text: str) -> str:
    if text.lower() not in ("json", "text"):
        raise ValueError("expected json or text")
    return text.lower()


def _level(text: str) -> str:
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("expected debug, info, warning or error")
    return text.lower()


@dataclass(frozen=True)
class Settings:
    """The settings of the service; the environment variable of each is its name in capitals."""

    model_store: Path = _setting(
        Path("artifacts/cleveland"), "folder of a store, or of a single version", Path
    )
    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 for all interfaces")
    port: int = _setting(8080, "port to listen on", _integer(1, 65535))
    workers: int = _setting(2, "number of worker processes", _integer(1, 256))
    max_body_bytes: int = _setting(
        8 * 1024 * 1024,
        "maximum size of a request body in bytes, also after decompression",
        _integer(1, 2**31),
    )
    max_records: int = _setting(
        10_000, "maximum number of records in a request", _integer(1, 10_000_000)
    )
    reload_seconds: float = _setting(
        1.0, "interval in seconds at which a worker checks the store for changes", _seconds
    )
    client_seconds: int = _setting(
        10,
        "seconds that a worker waits for a client that stops sending within a body",
        _integer(1, 3600),
    )
    graceful_seconds: int = _setting(
        30, "seconds that running requests have to finish when the service stops", _integer(1, 3600)
    )
    versions: tuple[str, ...] = _setting(
        ("current",),
        "versions to serve: current, all, or numbers in addition to the current version",
        _versions,
    )
    version_labels: Mapping[str, str] = _setting(
        {}, "labels of versions, such as canary=4,stable=3", _labels
    )
    max_explained: int = _setting(
        100, "maximum number of records in a request for explanations", _integer(1, 10_000)
    )
    api_keys: str = _setting(
        "",
        "entries of API keys, see app/api_keys.py; without any, every route but management is open",
        _keys,
    )
    api_keys_file: Path | None = _setting(None, "file with further entries of API keys", _keys_file)
    health_route: str = _setting(
        "", "additional path for GET /readyz, for platforms that choose it", _path
    )
    predict_route: str = _setting(
        "", "additional path for POST /predict, for platforms that choose it", _path
    )
    log_level: str = _setting("info", "debug, info, warning or error", _level)
    log_format: str = _setting("json", "json, or text for reading at a terminal", _log_format)
    run_folder: Path | None = _setting(
        None, "folder of files that the workers share; by default a temporary folder", Path
    )

    @property
    def keys(self) -> ApiKeys:
        """The API keys of ``api_keys`` and ``api_keys_file`` together."""
        entries = [self.api_keys]
        if self.api_keys_file is not None:
            entries.append(self.api_keys_file.read_text(encoding="utf-8"))
        return ApiKeys("\n".join(entries))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Return the settings of an environment; an absent or empty variable has its default.

        Args:
            environment: the environment variables; those of the process if None.

        Raises:
            InvalidSettings: one or more values are not allowed; the message lists all of them.
        """
        environment = translate_cloud_environment(
            os.environ if environment is None else environment
        )
        values, problems = {}, []
        for setting in dataclasses.fields(cls):
            text = environment.get(setting.name.upper(), "").strip()
            if text:
                try:
                    values[setting.name] = setting.metadata["parse"](text)
                except ValueError as error:
                    secret = setting.name.startswith("api_keys")
                    received = "" if secret else f", received {text!r}"
                    problems.append(f"{setting.name.upper()}: {error}{received}")
        if problems:
            raise InvalidSettings("; ".join(problems))
        return cls(**values)
