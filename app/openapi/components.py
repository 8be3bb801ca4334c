"""The headers, parameters and security schemes that the operations refer to."""

from __future__ import annotations

from app.routing import Json
from app.web import SAFE_ID


def components() -> Json:
    """Return the Components Object without its schemas."""
    return {
        "headers": {
            "RequestId": {
                "description": "The X-Request-ID of the request if it is valid, otherwise a new "
                "ID. The log lines of the request contain it.",
                "required": True,
                "schema": {"type": "string", "pattern": f"^{SAFE_ID.pattern}$"},
            },
            "Challenge": {
                "description": "The authentication scheme to use.",
                "required": True,
                "schema": {"const": "Bearer"},
            },
        },
        "parameters": {
            "RequestId": {
                "name": "X-Request-ID",
                "in": "header",
                "description": "An ID for the request, of 1 to 64 characters from A-Z a-z 0-9 . _ "
                ": / + = @ -. An invalid ID is replaced with a new one.",
                "schema": {"type": "string"},
                "example": "ward-7:2026-11-20:0042",
            },
        },
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, sent as Authorization: Bearer KEY.",
            },
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "An API key, sent as X-API-Key: KEY.",
            },
        },
    }
