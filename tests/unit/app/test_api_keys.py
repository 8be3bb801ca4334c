"""API keys: scopes, entries and the command that makes them."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from app import Service, Settings, create_app
from app.api_keys import SCOPES, ApiKeys, new_entry
from app.factory import ROUTES
from app.routing import Router
from app.web import AUTHENTICATED, PUBLIC, ServiceRequest, ServiceResponse
from model.artifacts import Store
from tests.conftest import ROOT

OPEN_PATHS = (
    *("/", "/healthz", "/readyz", "/problems/not_found", "/v2/health/live", "/v2/health/ready"),
    *("/v2/models/cleveland/ready", "/v2/models/cleveland/versions/1/ready"),
    *("/ping", "/health", "/version", "/execution-parameters"),
    *("/openapi.json", "/docs", "/docs/mlflow", "/docs/page.css", "/docs/try.js"),
)
PLACEHOLDERS = {
    "code": "not_found",
    "name": "cleveland",
    "version": "1",
    "label": "current",
    "verb": "fly",
    "protocol": "mlflow",
}


def service(store: Store, *scopes: str) -> tuple[Service, str]:
    key, entry = new_entry("ward-7", scopes)
    return create_app(Settings(model_store=store.folder, api_keys=f"# of ward 7\n{entry}")), key


def test_without_keys_every_route_but_management_is_open(trained: Store) -> None:
    app = create_app(Settings(model_store=trained.folder))
    router = Router()

    @router.route("GET", "/managing", scope="manage")
    def manage(service: Service, request: ServiceRequest) -> ServiceResponse:
        pytest.fail("the request was authorized")

    app.add_route(router.routes[0])
    assert app.test_client().get("/metrics").status_code == 200
    response = app.test_client().get("/managing")
    assert response.status_code == 403
    assert response.get_json()["type"] == "/problems/management_off"


def test_a_key_grants_its_scopes_and_no_others(trained: Store, record: dict[str, Any]) -> None:
    app, key = service(trained, "predict")
    client = app.test_client()
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        assert client.post("/predict", json=record, headers=headers).status_code == 200
        assert client.get("/model", headers=headers).status_code == 200
        for response in (
            client.get("/metrics", headers=headers),
            client.post("/explain", json=record, headers=headers),
            client.post("/predict", json={"instances": [record], "explain": True}, headers=headers),
        ):
            assert response.status_code == 403
            assert "lacks the scope" in response.get_json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "nobody"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer "},
        {"X-API-Key": "\xff\xfe"},
    ],
)
def test_only_public_routes_respond_without_a_key(
    trained: Store, record: dict[str, Any], headers: dict[str, str]
) -> None:
    app, _ = service(trained, *SCOPES)
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        method = "POST" if "POST" in (rule.methods or ()) else "GET"
        path = rule.rule
        for placeholder, value in PLACEHOLDERS.items():
            path = re.sub(f"<(segment:)?{placeholder}>", value, path)
        assert "<" not in path, path
        response = client.open(path, method=method, json=record, headers=headers)
        if path in OPEN_PATHS:
            assert response.status_code == 200, path
        else:
            assert response.status_code == 401, path
            assert response.headers["WWW-Authenticate"] == "Bearer"


def test_every_route_has_a_scope() -> None:
    assert {route.scope for route in ROUTES} == {*SCOPES, AUTHENTICATED, PUBLIC}


@pytest.mark.parametrize(
    "entry", ["ward", "ward:predict", "ward:fly:" + "a" * 64, "w:predict:MARKED"]
)
def test_an_invalid_entry_is_reported_by_its_number(entry: str) -> None:
    _, valid = new_entry("ward", ["predict"])
    with pytest.raises(ValueError, match="entry 2 must be") as caught:
        ApiKeys(f"{valid}\n{entry}")
    assert "MARKED" not in str(caught.value)


def test_keys_of_a_file(trained: Store, tmp_path: Any, record: dict[str, Any]) -> None:
    key, entry = new_entry("ward", ["predict"])
    (tmp_path / "keys").write_text(entry + "\n")
    app = create_app(Settings(model_store=trained.folder, api_keys_file=tmp_path / "keys"))
    assert app.test_client().post("/predict", json=record).status_code == 401
    response = app.test_client().post("/predict", json=record, headers={"X-API-Key": key})
    assert response.status_code == 200


def test_the_command_prints_a_key_and_its_entry(trained: Store, record: dict[str, Any]) -> None:
    process = run_command("ward", "predict", "explain")
    key, entry = (line.split()[-1] for line in process.stdout.splitlines())
    assert key not in entry
    app = create_app(Settings(model_store=trained.folder, api_keys=entry))
    response = app.test_client().post("/predict", json=record, headers={"X-API-Key": key})
    assert response.status_code == 200


def test_the_command_runs_without_a_warning() -> None:
    """``python -m`` warns if importing the package already imports the module that it runs."""
    process = run_command("ward", "predict")
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["ward"], ["ward", "fly"], ["a b", "predict"]])
def test_the_command_rejects_other_arguments_and_lists_the_scopes(arguments: list[str]) -> None:
    process = run_command(*arguments)
    assert process.returncode == 1 and not process.stdout
    assert all(scope in process.stderr for scope in SCOPES)
    assert "Traceback" not in process.stderr


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "app.api_keys", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
