"""The declarations of the routes, and their registration."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from typing import Any

import pytest

from app import Service, Settings, create_app
from app.api.metadata import readyz
from app.api.predict import predict, predict_for_platform
from app.factory import ROUTES
from app.routing import Router
from app.web import AUTHENTICATED, PUBLIC, ServiceRequest, ServiceResponse
from model.artifacts import Store
from tests.unit import tiny

AUTOMATIC_METHODS = {"HEAD", "OPTIONS"}
"""Flask adds HEAD to every rule with GET, and OPTIONS to every rule."""


def registered(app: Service) -> Counter[tuple[str, str]]:
    """Return the methods and paths that Flask dispatches."""
    return Counter(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - AUTOMATIC_METHODS
    )


def test_every_registered_route_is_declared_and_the_reverse(tiny_app: Service) -> None:
    declared = Counter((route.method, route.path) for route in ROUTES if not route.path_setting)
    assert registered(tiny_app) == declared
    assert set(declared.values()) == {1}


def test_no_two_declarations_share_a_method_and_a_path() -> None:
    """Placeholders of other names or converters match the same requests."""
    patterns = Counter(
        (route.method, re.sub(r"<[^>]*>", "<>", route.path), route.path_setting) for route in ROUTES
    )
    assert [pattern for pattern, n in patterns.items() if n > 1] == []


def test_every_declaration_has_a_summary_and_a_group() -> None:
    for route in ROUTES:
        assert re.fullmatch(r"[A-Z][^\n]+\.", route.summary), f"{route.method} {route.path}"
        assert bool(route.tag) is not bool(route.protocol), f"{route.method} {route.path}"


@pytest.mark.parametrize("path", ["/v1/up", "/readyz", "/ping"])
def test_the_health_route_of_the_settings_replaces_others(tiny_store: Store, path: str) -> None:
    app = create_app(Settings(model_store=tiny_store.folder, health_route=path))
    (route,) = (route for route in app.routes if (route.method, route.path) == ("GET", path))
    assert route.handler is readyz and not route.protocol
    assert set(registered(app).values()) == {1}
    assert app.test_client().get(path).get_json() == {"ready": True, "version": "1"}


@pytest.mark.parametrize("path", ["/v1/ask", "/predict", "/invocations"])
@pytest.mark.parametrize("fast_path", [True, False])
def test_the_predict_route_of_the_settings_replaces_others(
    tiny_store: Store, path: str, fast_path: bool
) -> None:
    settings = Settings(model_store=tiny_store.folder, predict_route=path)
    app = create_app(settings, fast_path=fast_path)
    assert app.uses_fast_path("POST", path) is fast_path
    assert app.uses_fast_path("POST", "/predict") is fast_path
    (route,) = (route for route in app.routes if (route.method, route.path) == ("POST", path))
    assert route.handler is predict_for_platform
    assert set(registered(app).values()) == {1}
    body = {"instances": [{"dose": 12, "stage": "middle"}], "parameters": 3}
    (prediction,) = app.test_client().post(path, json=body).get_json()["predictions"]
    assert prediction["probability"] == pytest.approx(tiny.probability(12, "middle"), abs=1e-6)


def test_a_handler_is_an_ordinary_function(tiny_app: Service) -> None:
    body = json.dumps({"dose": 12, "stage": "middle"}).encode()
    environ: dict[str, Any] = {
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }
    response = predict(tiny_app, ServiceRequest(environ, 1_000))
    (prediction,) = json.loads(response.body)["predictions"]
    assert prediction["probability"] == pytest.approx(tiny.probability(12, "middle"), abs=1e-6)


def test_a_router_collects_the_routes_of_its_functions() -> None:
    router = Router(tag="Common", errors=("not_ready",))

    def respond(service: Service, request: ServiceRequest) -> ServiceResponse:
        """Respond to everything.

        With ``nothing``.
        """
        return ServiceResponse(b"")

    declare_get = router.route("GET", "/a/<name>", "/b", scope=PUBLIC, path_setting="health_route")
    declare_post = router.route("POST", "/b", scope=AUTHENTICATED, tag="Own", fast_path=True)
    assert declare_post(declare_get(respond)) is respond
    get, get_b, get_setting, post = router.routes
    assert [route.documented_path for route in (get, get_b, get_setting, post)] == [
        *("/a/{name}", "/b", "", "/b")
    ]
    assert (get_setting.path_setting, get_setting.method) == ("health_route", "GET")
    assert (get.tag, get.scope, get.fast_path, post.tag, post.scope, post.fast_path) == (
        *("Common", PUBLIC, False),
        *("Own", AUTHENTICATED, True),
    )
    assert {route.errors for route in router.routes} == {("not_ready",)}
    assert {(route.summary, route.details) for route in router.routes} == {
        ("Respond to everything.", "With nothing.")
    }


def test_a_router_rejects_an_unknown_attribute() -> None:
    declare = Router().route("GET", "/", scope=PUBLIC, sumary="Misspelt.")
    with pytest.raises(TypeError, match="sumary"):
        declare(lambda service, request: ServiceResponse(b""))
