"""Responses compressed with gzip or deflate, for clients that accept them."""

from __future__ import annotations

import zlib

import msgspec
from werkzeug.http import parse_accept_header

from app.web.request import ServiceRequest, ServiceResponse

MIN_COMPRESS_BYTES = 1024
_WBITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
"""The zlib parameter of each coding; ``deflate`` is the zlib format (RFC 9110, 8.4.1.2)."""


def compress_response(request: ServiceRequest, response: ServiceResponse) -> ServiceResponse:
    """Return the response in a coding that the client accepts; a body under 1 KiB is unchanged."""
    headers = (*response.headers, ("Vary", "Accept-Encoding"))
    response = msgspec.structs.replace(response, headers=headers)
    if len(response.body) < MIN_COMPRESS_BYTES:
        return response
    accepted = parse_accept_header(request.header("accept-encoding"))
    coding = accepted.best_match(_WBITS)
    if coding is None:
        return response
    compressor = zlib.compressobj(level=1, wbits=_WBITS[coding])
    body = compressor.compress(response.body) + compressor.flush()
    headers = (*response.headers, ("Content-Encoding", coding))
    return msgspec.structs.replace(response, body=body, headers=headers)
