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
from app.call import Call
from model.store import Store
from tests.conftest import time_limit

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


def unpacked(packed: bytes, coding: str = "gzip", limit: int = 8 * 2**20) -> bytes:
    environ = {
        "HTTP_CONTENT_ENCODING": coding,
        "CONTENT_LENGTH": str(len(packed)),
        "wsgi.input": io.BytesIO(packed),
    }
    return Call(environ, limit).body()


def noise(n_bytes: int) -> bytes:
    """Bytes that no compression makes shorter, so that a member is longer than what zlib is given."""
    return random.Random(n_bytes).randbytes(n_bytes)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=20) | st.integers(0, 9_000).map(noise), min_size=1),
    st.sampled_from([0, 1, 9]),
)
def test_the_members_of_a_gzip_body_are_one_body(members: list[bytes], level: int) -> None:
    packed = b"".join(gzip.compress(member, level) for member in members)
    assert unpacked(packed) == gzip.decompress(packed) == b"".join(members)


def test_what_is_packed_may_hold_as_much_as_a_body_and_no_more() -> None:
    """All members together, wherever in the compressed bytes the limit is passed."""
    for pack, coding in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
        for n_bytes in (0, 1, 999, 1_000):
            assert unpacked(pack(b"a" * n_bytes), coding, limit=1_000) == b"a" * n_bytes
        with pytest.raises(RequestEntityTooLarge):
            unpacked(pack(b"a" * 1_001), coding, limit=1_000)
    assert unpacked(gzip.compress(b"a" * 100) * 10, limit=1_000) == b"a" * 1_000
    with pytest.raises(RequestEntityTooLarge):
        unpacked(gzip.compress(b"a" * 100) * 10 + gzip.compress(b"a"), limit=1_000)
    with pytest.raises(RequestEntityTooLarge):
        unpacked(gzip.compress(b"") * 30 + gzip.compress(b"a" * 1_001), limit=1_000)


def test_a_bomb_of_many_members_is_too_large() -> None:
    with pytest.raises(RequestEntityTooLarge):
        unpacked(gzip.compress(b"a" * 1_000) * 10_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_packed_body_that_breaks_off_is_refused(coding: str) -> None:
    pack = gzip.compress if coding == "gzip" else zlib.compress
    first, second = pack(b"first"), pack(b"second")
    for end in range(len(first)):
        with pytest.raises(BadRequest):
            unpacked(first[:end], coding)
    if coding == "gzip":
        for end in range(1, len(second)):
            with pytest.raises(BadRequest):
                unpacked(first + second[:end], coding)


@pytest.mark.parametrize("rest", [b"\0", b"\n", b"junk", b"\0" * 512, b"\x1f", b"\x1f\x8b" * 9])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_stands_behind_a_packed_body_is_refused(coding: str, rest: bytes) -> None:
    """Also the zeros with which tapes were filled: RFC 1952 knows nothing but members."""
    pack = gzip.compress if coding == "gzip" else zlib.compress
    assert unpacked(pack(b"body"), coding) == b"body"
    other = zlib.compress if coding == "gzip" else gzip.compress
    for behind in (rest, other(b"more"), pack(b"") + rest if coding == "gzip" else pack(b"")):
        with pytest.raises(BadRequest):
            unpacked(pack(b"body") + behind, coding)


def test_a_member_that_is_damaged_is_refused() -> None:
    """The checksum and the length at the end of each member are compared."""
    good = gzip.compress(b"first")
    for index in range(1, 9):
        damaged = bytearray(good)
        damaged[-index] ^= 1
        with pytest.raises(BadRequest):
            unpacked(good + bytes(damaged) + good)


@pytest.mark.parametrize("content", [b"", b"a"])
def test_many_small_members_take_linear_time(content: bytes) -> None:
    member = gzip.compress(content)
    n_members = 8 * 2**20 // len(member)
    with time_limit(30):
        assert unpacked(member * n_members) == content * n_members
