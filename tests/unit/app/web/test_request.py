"""Requests: IDs, trace context, headers and compressed bodies."""

from __future__ import annotations

import gc
import gzip
import io
import random
import re
import weakref
import zlib
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge
from werkzeug.test import EnvironBuilder, run_wsgi_app

from app import Settings, create_app
from app.web import ServiceRequest
from model.artifacts import Store
from tests.conftest import time_limit

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "client_id", ["a", "A-b_c.9:/+=@", "x" * 64, "4f8c816a-8d8f-4fd6-961e-ff6e1ca4bc24"]
)
def test_a_safe_request_id_is_kept(client: FlaskClient, client_id: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": client_id})
    assert response.headers["X-Request-ID"] == client_id


@pytest.mark.parametrize(
    "client_id", ["", "x" * 65, "a b", 'a"b', "a\tb", "tÃ¤g", "a%0d%0ab", "<x>"]
)
def test_an_unsafe_request_id_is_replaced(client: FlaskClient, client_id: str) -> None:
    response = client.get("/healthz", headers={"X-Request-ID": client_id})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])


def test_every_response_has_its_own_request_id(client: FlaskClient) -> None:
    ids = {client.get(path).headers["X-Request-ID"] for path in ("/healthz", "/nope", "/predict")}
    assert len(ids) == 3


def test_an_error_response_has_the_request_id(client: FlaskClient) -> None:
    response = client.post("/predict", json={}, headers={"X-Request-ID": "mine-1"})
    assert response.get_json()["instance"] == "/requests/mine-1"


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
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
def test_traceparent(traceparent: str, trace_id: str) -> None:
    """A malformed header is ignored (W3C Trace Context, section 3.2)."""
    assert ServiceRequest({"HTTP_TRACEPARENT": traceparent}, 0).trace_id == trace_id


@pytest.mark.parametrize("path", ["/predict", "/explain", "/nope"])
def test_a_request_is_freed_after_its_response(trained: Store, path: str) -> None:
    """Reference cycles would keep bodies of megabytes until the next garbage collection."""
    app = create_app(Settings(model_store=trained.folder))

    class Body(io.BytesIO):
        """A stream that supports weak references."""

    def send() -> weakref.ref[Body]:
        body = Body(b"[]")
        headers = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "2"}
        environ = EnvironBuilder(path, method="POST", environ_overrides=headers).get_environ()
        environ["wsgi.input"] = body
        run_wsgi_app(app, environ)
        return weakref.ref(body)

    send()
    gc.collect()
    gc.disable()
    try:
        assert send()() is None
    finally:
        gc.enable()


def test_security_headers(client: FlaskClient, record: dict[str, Any]) -> None:
    for response in (client.get("/healthz"), client.get("/nope"), client.post("/predict", json={})):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"


def decompress(compressed: bytes, coding: str = "gzip", limit: int = 8 * 2**20) -> bytes:
    environ = {
        "HTTP_CONTENT_ENCODING": coding,
        "CONTENT_LENGTH": str(len(compressed)),
        "wsgi.input": io.BytesIO(compressed),
    }
    return ServiceRequest(environ, limit).body()


def noise(n_bytes: int) -> bytes:
    """Return incompressible bytes, so that a member can be longer than one chunk for zlib."""
    return random.Random(n_bytes).randbytes(n_bytes)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=20) | st.integers(0, 9_000).map(noise), min_size=1),
    st.sampled_from([0, 1, 9]),
)
def test_the_members_of_a_gzip_body_are_one_body(members: list[bytes], level: int) -> None:
    compressed = b"".join(gzip.compress(member, level) for member in members)
    assert decompress(compressed) == gzip.decompress(compressed) == b"".join(members)


def test_the_limit_of_a_body_holds_after_decompression() -> None:
    """The limit counts all members together, wherever the limit is exceeded."""
    for compress, coding in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
        for n_bytes in (0, 1, 999, 1_000):
            assert decompress(compress(b"a" * n_bytes), coding, limit=1_000) == b"a" * n_bytes
        with pytest.raises(RequestEntityTooLarge):
            decompress(compress(b"a" * 1_001), coding, limit=1_000)
    assert decompress(gzip.compress(b"a" * 100) * 10, limit=1_000) == b"a" * 1_000
    with pytest.raises(RequestEntityTooLarge):
        decompress(gzip.compress(b"a" * 100) * 10 + gzip.compress(b"a"), limit=1_000)
    with pytest.raises(RequestEntityTooLarge):
        decompress(gzip.compress(b"") * 30 + gzip.compress(b"a" * 1_001), limit=1_000)


def test_a_bomb_of_many_members_is_too_large() -> None:
    with pytest.raises(RequestEntityTooLarge):
        decompress(gzip.compress(b"a" * 1_000) * 10_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_body_that_ends_early_is_rejected(coding: str) -> None:
    compress = gzip.compress if coding == "gzip" else zlib.compress
    first, second = compress(b"first"), compress(b"second")
    for end in range(len(first)):
        with pytest.raises(BadRequest):
            decompress(first[:end], coding)
    if coding == "gzip":
        for end in range(1, len(second)):
            with pytest.raises(BadRequest):
                decompress(first + second[:end], coding)


@pytest.mark.parametrize("rest", [b"\0", b"\n", b"junk", b"\0" * 512, b"\x1f", b"\x1f\x8b" * 9])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_data_after_a_compressed_body_are_rejected(coding: str, rest: bytes) -> None:
    """Padding with zeros is rejected too: RFC 1952 allows nothing but members."""
    compress = gzip.compress if coding == "gzip" else zlib.compress
    assert decompress(compress(b"body"), coding) == b"body"
    other = zlib.compress if coding == "gzip" else gzip.compress
    for trailing in (
        rest,
        other(b"more"),
        compress(b"") + rest if coding == "gzip" else compress(b""),
    ):
        with pytest.raises(BadRequest):
            decompress(compress(b"body") + trailing, coding)


def test_a_damaged_member_is_rejected() -> None:
    """The checksum and the length at the end of each member are compared."""
    good = gzip.compress(b"first")
    for index in range(1, 9):
        damaged = bytearray(good)
        damaged[-index] ^= 1
        with pytest.raises(BadRequest):
            decompress(good + bytes(damaged) + good)


@pytest.mark.parametrize("content", [b"", b"a"])
def test_many_small_members_take_linear_time(content: bytes) -> None:
    member = gzip.compress(content)
    n_members = 8 * 2**20 // len(member)
    with time_limit(30):
        assert decompress(member * n_members) == content * n_members
