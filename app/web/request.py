"""The request and the response of the service, independent of the web framework."""

from __future__ import annotations

import random
import re
import time
import zlib
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

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

ENVIRON_KEY = "service.request"

SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,64}")
# W3C Trace Context: version 00, and later versions, which may append fields.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 4096
_NO_TRACE, _NO_PARENT = "0" * 32, "0" * 16


class HasVersion(Protocol):
    """An object with a version, such as a loaded model."""

    version: str


_Versioned = TypeVar("_Versioned", bound=HasVersion)


class ServiceResponse(msgspec.Struct, frozen=True):
    """A response.

    Attributes:
        body: the body.
        status: the HTTP status.
        media_type: the value of ``Content-Type``.
        headers: headers other than ``Content-Type`` and ``Content-Length``.
    """

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class ServiceRequest:
    """A request, read lazily from the WSGI environ.

    Attributes:
        environ: the WSGI environ.
        max_body_bytes: the maximum size of the body, also after decompression.
        started: the time of construction, of ``time.perf_counter``, in seconds.
        request_id: the ``X-Request-ID`` of the client if it is 1 to 64 safe characters, otherwise
            a new ID.
        route: the matched rule, such as ``/problems/<code>``; "" if none matched.
        version: the version of the model that responds; "" if none does.
    """

    __slots__ = ("environ", "max_body_bytes", "request_id", "route", "started", "version")

    def __init__(self, environ: dict[str, Any], max_body_bytes: int) -> None:
        self.started = time.perf_counter()
        self.environ = environ
        self.max_body_bytes = max_body_bytes
        client_id = environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id = client_id if SAFE_ID.fullmatch(client_id) else _new_request_id()
        self.route = self.version = ""

    @property
    def trace_id(self) -> str:
        """The trace ID of the W3C header ``traceparent``; "" if absent or not valid."""
        match = _TRACEPARENT.fullmatch(self.header("traceparent").strip())
        if match is None or match[1] == _NO_TRACE or match[2] == _NO_PARENT:
            return ""
        if self.header("traceparent").startswith("00") and match[3]:
            return ""
        return match[1]

    def header(self, name: str) -> str:
        """Return the value of a header; "" if it is absent."""
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        return self.environ.get(key, "")

    @property
    def media_type(self) -> str:
        """The declared media type of the body, in lower case and without parameters."""
        return self.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()

    @property
    def accepted(self) -> MIMEAccept:
        """The media types of the header ``Accept``, in order of preference.

        Werkzeug's pattern for a media type takes quadratic time for a run of spaces, so each run
        becomes a single space first.
        """
        return parse_accept_header(" ".join(self.header("accept").split()), MIMEAccept)

    def body(self) -> bytes:
        """Read and return the body, decompressed.

        Raises:
            RequestEntityTooLarge: the body exceeds ``max_body_bytes``, declared or not, before or
                after decompression.
            BadRequest: the body is shorter than declared, its chunks are malformed, the compressed
                data are not valid, or other data follow them.
            UnsupportedMediaType: the coding is not gzip or deflate.
        """
        coding = self.environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
        if coding in ("", "identity"):
            return self._read()
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise UnsupportedMediaType
        return _decompress(self._read(), self.max_body_bytes)

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
                stream.read(1)  # Werkzeug raises only when reading past the limit
        except HTTPException:
            raise
        except Exception as error:  # each WSGI server raises exceptions of its own
            raise BadRequest from error
        return body

    def bind_model(self, model: _Versioned) -> _Versioned:
        """Record the version of the model that responds, for the metrics; return the model."""
        self.version = model.version
        return model


def _decompress(data: bytes, limit: int) -> bytes:
    """Decompress all members of a gzip file, or one zlib stream.

    A gzip file is a sequence of members and nothing else (RFC 1952, section 2.2). zlib copies the
    data that follow a member, so it gets 4 KiB at a time; otherwise a body of many empty members
    would take quadratic time.

    Args:
        data: the compressed body.
        limit: the maximum number of decompressed bytes, of all members together.

    Raises:
        RequestEntityTooLarge: the decompressed body exceeds the limit.
        BadRequest: the data are in neither format, end early, or continue after the end.
    """
    is_gzip = data.startswith(_GZIP_MAGIC)
    wbits = zlib.MAX_WBITS | 16 if is_gzip else zlib.MAX_WBITS
    decompressor = zlib.decompressobj(wbits)
    parts: list[bytes] = []
    remaining = limit + 1
    for start in range(0, len(data), _CHUNK_BYTES):
        rest = data[start : start + _CHUNK_BYTES]
        while rest:
            if decompressor.eof:
                if not is_gzip:
                    raise BadRequest
                decompressor = zlib.decompressobj(wbits)
            try:
                part = decompressor.decompress(rest, remaining)
            except zlib.error as error:
                raise BadRequest from error
            remaining -= len(part)
            if not remaining:
                raise RequestEntityTooLarge
            if part:
                parts.append(part)
            rest = decompressor.unused_data
    if not decompressor.eof:
        raise BadRequest
    return b"".join(parts)


def _new_request_id() -> str:
    """Return 128 random bits in hexadecimal.

    An ID must be unique and need not be unpredictable, so it does not come from the operating
    system, where it would take as long as scoring a record. Python reseeds ``random`` after a fork.
    """
    return f"{random.getrandbits(128):032x}"


request_var: ContextVar[ServiceRequest | None] = ContextVar("request_var", default=None)
