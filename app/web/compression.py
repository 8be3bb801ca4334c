"""Answers packed with gzip or deflate, for clients that ask for it."""

from __future__ import annotations

import zlib

import msgspec
from werkzeug.http import parse_accept_header

from app.web.request import ServiceRequest, ServiceResponse

MIN_COMPRESS_BYTES = 1024
_WBITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""By coding, what tells zlib its format; ``deflate`` means zlib's (RFC 9110, section 8.4.1.2)."""


def compress_response(request: ServiceRequest, answer: ServiceResponse) -> ServiceResponse:
    """The answer as the client's ``Accept-Encoding`` wants it; a short one stays as it is."""
    answer = msgspec.structs.replace(answer, headers=(*answer.headers, ("Vary", "Accept-Encoding")))
    if len(answer.body) < MIN_COMPRESS_BYTES:
        return answer
    wanted = parse_accept_header(request.header("accept-encoding"))
    coding = wanted.best_match(_WBITS)
    if coding is None:
        return answer
    packer = zlib.compressobj(level=1, wbits=_WBITS[coding])
    body = packer.compress(answer.body) + packer.flush()
    headers = (*answer.headers, ("Content-Encoding", coding))
    return msgspec.structs.replace(answer, body=body, headers=headers)
