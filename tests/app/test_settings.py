from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import InvalidSettings, Settings


def test_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"PORT": "", "HOST": " "}) == Settings()


def test_every_setting_is_read() -> None:
    environment = {
        "MODEL_STORE": "/models", "HOST": "0.0.0.0", "PORT": "9000", "WORKERS": "4",
        "MAX_BODY_BYTES": "1000", "MAX_RECORDS": "7", "RELOAD_SECONDS": "0.5",
        "CLIENT_SECONDS": "4", "GRACEFUL_SECONDS": "5", "LOG_LEVEL": "DEBUG",
    }  # fmt: skip
    settings = Settings.from_environment(environment)
    assert settings == Settings(Path("/models"), "0.0.0.0", 9000, 4, 1000, 7, 0.5, 4, 5, "debug")


def test_every_wrong_setting_is_named_at_once() -> None:
    environment = {"PORT": "80800", "WORKERS": "two", "RELOAD_SECONDS": "0", "LOG_LEVEL": "loud"}
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environment(environment)
    assert all(name in str(caught.value) for name in environment)
    assert "from 1 to 65535" in str(caught.value)
