"""Settings: defaults, parsing, error messages, the variables of cloud platforms."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from app.cloud_environment import IMAGE_DEFAULTS, translate_cloud_environment
from app.settings import InvalidSettings, Settings
from tests.conftest import ROOT

KEY = f"ward:predict+explain:{'a' * 64}"


def test_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"PORT": "", "HOST": " "}) == Settings()


def test_every_setting_is_read() -> None:
    environment = {
        "MODEL_STORE": "/models",
        "HOST": "0.0.0.0",
        "PORT": "9000",
        "WORKERS": "4",
        "MAX_BODY_BYTES": "1000",
        "MAX_RECORDS": "7",
        "RELOAD_SECONDS": "0.5",
        "CLIENT_SECONDS": "4",
        "GRACEFUL_SECONDS": "5",
        "VERSIONS": "3, 4",
        "VERSION_LABELS": "canary=4,stable=3",
        "MAX_EXPLAINED": "9",
        "API_KEYS": KEY,
        "API_KEYS_FILE": "/dev/null",
        "HEALTH_ROUTE": "/health/1",
        "PREDICT_ROUTE": "/go:predict",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "text",
        "RUN_FOLDER": "/run/x",
    }
    assert set(environment) == {field.name.upper() for field in dataclasses.fields(Settings)}
    settings = Settings.from_environment(environment)
    assert dataclasses.astuple(settings) == (
        Path("/models"),
        "0.0.0.0",
        9000,
        4,
        1000,
        7,
        0.5,
        4,
        5,
        ("3", "4"),
        {"canary": "4", "stable": "3"},
        9,
        KEY,
        Path("/dev/null"),
        "/health/1",
        "/go:predict",
        "debug",
        "text",
        Path("/run/x"),
    )


def test_every_invalid_setting_is_reported_at_once() -> None:
    environment = {
        "PORT": "80800",
        "WORKERS": "two",
        "RELOAD_SECONDS": "0",
        "LOG_LEVEL": "loud",
        "VERSIONS": "newest",
        "VERSION_LABELS": "canary",
        "HEALTH_ROUTE": "health",
        "LOG_FORMAT": "xml",
        "API_KEYS": "ward:predict:MARKED8151815",
        "API_KEYS_FILE": "/none",
    }
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_environment(environment)
    assert all(name in str(caught.value) for name in environment)
    assert "from 1 to 65535" in str(caught.value)
    assert "MARKED8151815" not in str(caught.value), "an invalid entry may contain a key"


def test_platform_variables_apply_unless_a_setting_is_set(tmp_path: Path) -> None:
    vertex = {
        "AIP_HTTP_PORT": "9090",
        "AIP_HEALTH_ROUTE": "/h",
        "AIP_PREDICT_ROUTE": "/p",
        "AIP_STORAGE_URI": "gs://bucket/model",
    }
    settings = Settings.from_environment(vertex)
    assert (settings.host, settings.port) == ("0.0.0.0", 9090)
    assert (settings.health_route, settings.predict_route) == ("/h", "/p")
    assert settings.model_store == Settings().model_store
    assert Settings.from_environment({**vertex, "PORT": "1234"}).port == 1234
    assert "MODEL_STORE" not in translate_cloud_environment({}, tmp_path)
    (tmp_path / "manifest.json").touch()
    assert translate_cloud_environment({}, tmp_path)["MODEL_STORE"] == str(tmp_path)
    assert translate_cloud_environment({"MODEL_STORE": "/mine"}, tmp_path)["MODEL_STORE"] == "/mine"


def test_platform_variables_override_the_defaults_of_the_image(tmp_path: Path) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert all(f"{name}={value}" in dockerfile for name, value in IMAGE_DEFAULTS.items())
    (tmp_path / "manifest.json").touch()
    environment = translate_cloud_environment({**IMAGE_DEFAULTS, "AIP_HTTP_PORT": "9090"}, tmp_path)
    assert (environment["HOST"], environment["PORT"]) == ("0.0.0.0", "9090")
    assert environment["MODEL_STORE"] == str(tmp_path)
    assert translate_cloud_environment(IMAGE_DEFAULTS, tmp_path / "none") == IMAGE_DEFAULTS


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (["current.json", "1/manifest.json"], "."),
        (["manifest.json", "code/inference.py"], "."),
        (["heart/current.json", "heart/1/manifest.json", "code/inference.py"], "heart"),
        (["7/manifest.json"], "7"),
        (["1/manifest.json", "2/manifest.json"], "."),
        (["code/inference.py"], "."),
        ([], None),
    ],
)
def test_the_folder_of_a_model_unpacked_by_sagemaker(
    tmp_path: Path, files: list[str], folder: str | None
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    environment = translate_cloud_environment({}, tmp_path)
    expected = None if folder is None else str(tmp_path / folder)
    assert environment.get("MODEL_STORE") == expected
    assert ("HOST" in environment) is (folder is not None)
