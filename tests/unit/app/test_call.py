from __future__ import annotations

import gc
import io
import re
import weakref
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import Settings, create_app
from app.call import Call
from model.store import Store

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "given", ["a", "A-b_c.9:/+=@", "x" * 64, "4f8c816a-8d8f-4fd6-961e-ff6e1ca4bc24"]
)
def test_a_safe_request_id_is_taken_over(client: FlaskClient, given: str) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "a\tb", "tÃ¤g", "a%0d%0ab", "<x>"])
def test_any_other_is_replaced(client: FlaskClient, given: str) -> None:
    found = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert found != given
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_every_answer_has_a_request_id_of_its_own(client: FlaskClient) -> None:
    found = {client.get(path).headers["X-Request-ID"] for path in ("/healthz", "/nope", "/predict")}
    assert len(found) == 3


def test_a_refusal_names_the_request(client: FlaskClient) -> None:
    response = client.post("/predict", json={}, headers={"X-Request-ID": "mine-1"})
    assert response.get_json()["instance"] == "/requests/mine-1"


@pytest.mark.parametrize(
    ("given", "trace_id"),
    [
        (GOOD, TRACE),
        (f" {GOOD} ", TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-01-of-the-future", TRACE),
        (f"00-{TRACE}-00f067aa0ba902b7-01-more", ""),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (GOOD.upper(), ""),
        ("MARKED8151815", ""),
        ("", ""),
    ],
)
def test_traceparent(given: str, trace_id: str) -> None:
    """W3C Trace Context, 3.2: what is not well-formed is ignored."""
    assert Call({"HTTP_TRACEPARENT": given}, 0).trace_id == trace_id


@pytest.mark.parametrize("path", ["/predict", "/explain", "/nope"])
def test_a_request_is_let_go_of_once_it_is_answered(trained: Store, path: str) -> None:
    """Without the collector: a cycle would keep bodies of megabytes until it comes by."""
    app = create_app(Settings(model_store=trained.folder))

    class Body(io.BytesIO):
        """Can be referred to weakly."""

    def ask() -> weakref.ref[Body]:
        body = Body(b"[]")
        headers = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "2"}
        environ = EnvironBuilder(path, method="POST", environ_overrides=headers).get_environ()
        environ["wsgi.input"] = body
        run_wsgi_app(app, environ)
        return weakref.ref(body)

    ask()
    gc.collect()
    gc.disable()
    try:
        assert ask()() is None
    finally:
        gc.enable()


def test_security_headers(client: FlaskClient, record: dict[str, Any]) -> None:
    for response in (client.get("/healthz"), client.get("/nope"), client.post("/predict", json={})):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
