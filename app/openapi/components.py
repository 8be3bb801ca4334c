"""What descriptions refer to; most schemas derive from the types that answers are made of."""

from __future__ import annotations

from app.openapi.operations import Json
from app.web import SAFE_ID


def components() -> Json:
    """The Components Object without schemas."""
    return {
        "headers": {
            "RequestId": {
                "description": "The request's own X-Request-ID where it is 1 to 64 safe "
                "characters, otherwise a new one; the log names the request by it.",
                "required": True,
                "schema": {"type": "string", "pattern": f"^{SAFE_ID.pattern}$"},
            },
            "Challenge": {
                "description": "How to send a key.",
                "required": True,
                "schema": {"const": "Bearer"},
            },
        },
        "parameters": {
            "RequestId": {
                "name": "X-Request-ID",
                "in": "header",
                "description": "A name for the request. It is taken over where it is 1 to 64 of "
                "the characters A-Z a-z 0-9 . _ : / + = @ -, and replaced otherwise.",
                "schema": {"type": "string"},
                "example": "ward-7:2026-11-20:0042",
            },
        },
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key, as Authorization: Bearer KEY.",
            },
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "X-API-Key",
                "description": "An API key, as X-API-Key: KEY.",
            },
        },
    }
