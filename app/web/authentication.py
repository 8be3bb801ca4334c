"""Authorization of requests by API key and scope."""

from __future__ import annotations

from app.api_keys import ApiKeys
from app.web.errors import ApiError
from app.web.request import ServiceRequest

PUBLIC, AUTHENTICATED = "public", "authenticated"
"""The scopes of routes that need no key, and of routes that accept any key."""
_CHALLENGE = (("WWW-Authenticate", "Bearer"),)


def require(keys: ApiKeys, request: ServiceRequest, scope: str) -> None:
    """Require an API key with a scope.

    Without configured keys, every scope but ``manage`` is open and ``manage`` is disabled.

    Args:
        keys: the configured keys.
        request: the request, with the key in ``X-API-Key`` or as a bearer token.
        scope: a key of :data:`app.api_keys.SCOPES`, :data:`AUTHENTICATED` or :data:`PUBLIC`.

    Raises:
        ApiError: the request has no key, an unknown key, or a key without the scope.
    """
    if scope == "manage" and not keys.can_manage:
        raise ApiError(
            "management_off", "management is disabled: configure an API key with the scope manage"
        )
    if not keys.configured or scope == PUBLIC:
        return
    key = request.header("x-api-key") or _bearer_token(request.header("authorization"))
    if not key:
        raise ApiError("unauthenticated", "send an API key", headers=_CHALLENGE)
    scopes = keys.scopes_of(key)
    if scopes is None:
        raise ApiError("unauthenticated", "this API key is not known", headers=_CHALLENGE)
    if scope != AUTHENTICATED and scope not in scopes:
        raise ApiError("forbidden", f"this API key lacks the scope {scope}")


def _bearer_token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
