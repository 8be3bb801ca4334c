"""One request, as the guards and the fast road see it: WSGI's environ, read once and lazily."""

from __future__ import annotations

import random
import re
import time
import zlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)
from werkzeug.http import parse_accept_header
from werkzeug.wsgi import get_input_stream

if TYPE_CHECKING:
    from app.loading import LoadedModel

KEY = "service.call"

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")
# W3C Trace Context, version 00 and whatever later versions append to it.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE_BYTES = 4096
_NO_TRACE, _NO_PARENT = "0" * 32, "0" * 16


class Answer(msgspec.Struct, frozen=True):
    """What goes back, before it belongs to any web framework.

    Attributes:
        headers: besides ``Content-Type`` and ``Content-Length``.
    """

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Call:
    """A request under way.

    Attributes:
        request_id: taken over from ``X-Request-ID`` where that is at most 64 safe characters.
        trace_id: of the W3C ``traceparent``, or "".
        route: the rule that matched, such as ``/problems/<code>``; "" where none did.
        version: of the model that answered; "" where none did.
    """

    __slots__ = ("environ", "max_body_bytes", "request_id", "route", "started", "version")

    def __init__(self, environ: dict[str, Any], max_body_bytes: int) -> None:
        self.started = time.perf_counter()
        self.environ = environ
        self.max_body_bytes = max_body_bytes
        given = environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id = given if SAFE_ID.fullmatch(given) else _new_id()
        self.route = self.version = ""

    @property
    def trace_id(self) -> str:
        """Of the W3C ``traceparent`` that came with the request; "" where there is none."""
        found = _TRACEPARENT.fullmatch(self.header("traceparent").strip())
        if found is None or found[1] == _NO_TRACE or found[2] == _NO_PARENT:
            return ""
        if self.header("traceparent").startswith("00") and found[3]:
            return ""
        return found[1]

    def header(self, name: str) -> str:
        """A header of the request; "" where it is absent."""
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        return self.environ.get(key, "")

    @property
    def media_type(self) -> str:
        """The declared type of the body, in lower case and without parameters."""
        return self.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()

    @property
    def accepted(self) -> MIMEAccept:
        """The media types of the header ``Accept``, the preferred one first.

        Werkzeug's pattern for a media type takes quadratic time for a run of spaces, so each run
        becomes a single space first.
        """
        return parse_accept_header(" ".join(self.header("accept").split()), MIMEAccept)

    def body(self) -> bytes:
        """The whole body, unpacked where it came compressed.

        Raises:
            RequestEntityTooLarge: it is longer than the limit, also where it declares no length
                or grows past it when it is unpacked.
            BadRequest: it ended before it should have, its chunks make no sense, it is not
                compressed as it says, or something stands behind what is compressed.
            UnsupportedMediaType: it is compressed in another way than gzip or deflate.
        """
        coding = self.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding in ("", "identity"):
            return self._read()
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise UnsupportedMediaType
        return _unpack(self._read(), self.max_body_bytes)

    def _read(self) -> bytes:
        length = self.environ.get("CONTENT_LENGTH")
        try:
            if length and length.isdecimal() and "HTTP_TRANSFER_ENCODING" not in self.environ:
                n_bytes = int(length)
                if n_bytes > self.max_body_bytes:
                    raise RequestEntityTooLarge
                body = self.environ["wsgi.input"].read(n_bytes)
                if len(body) < n_bytes:
                    raise BadRequest
                return body
            stream = get_input_stream(self.environ, max_content_length=self.max_body_bytes)
            body = stream.read()
            if len(body) == self.max_body_bytes:
                stream.read(1)  # Werkzeug stops at the limit, and says so only past it
        except HTTPException:
            raise
        except Exception as error:  # the server's, and each server has its own
            raise BadRequest from error
        return body

    def answered_by(self, model: LoadedModel) -> LoadedModel:
        """Note the version that answers, for the metrics."""
        self.version = model.version
        return model


def _unpack(packed: bytes, limit: int) -> bytes:
    """A body without its compression: all members of a gzip file, or one zlib stream.

    RFC 1952, section 2.2: the members of a gzip file follow one another, and nothing else does.
    zlib copies what follows a member, so that it is given little at a time; otherwise a body of
    empty members would take quadratic time.

    Args:
        limit: the most bytes that may come out, of all members together.

    Raises:
        RequestEntityTooLarge: more would come out.
        BadRequest: it is in neither format, ends too early, or goes on behind its end.
    """
    is_gzip = packed.startswith(_GZIP_MAGIC)
    wbits = zlib.MAX_WBITS | 16 if is_gzip else zlib.MAX_WBITS
    unpacker = zlib.decompressobj(wbits)
    parts: list[bytes] = []
    room = limit + 1
    for start in range(0, len(packed), _PIECE_BYTES):
        rest = packed[start : start + _PIECE_BYTES]
        while rest:
            if unpacker.eof:
                if not is_gzip:
                    raise BadRequest
                unpacker = zlib.decompressobj(wbits)
            try:
                part = unpacker.decompress(rest, room)
            except zlib.error as error:
                raise BadRequest from error
            room -= len(part)
            if not room:
                raise RequestEntityTooLarge
            if part:
                parts.append(part)
            rest = unpacker.unused_data
    if not unpacker.eof:
        raise BadRequest
    return b"".join(parts)


def _new_id() -> str:
    """128 random bits in hexadecimal.

    Not from the system's source of randomness, which costs as much as scoring a record: an id must
    differ from others and need not be hard to guess. Python seeds it anew in a forked process.
    """
    return f"{random.getrandbits(128):032x}"


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
