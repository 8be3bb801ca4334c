"""The guard of the routes: API keys and their scopes."""

from __future__ import annotations

from app.api_keys import ApiKeys
from app.web.errors import ApiError
from app.web.request import ServiceRequest

PUBLIC, AUTHENTICATED = "public", "authenticated"
"""What a route asks for where it asks for no scope: nothing at all, or any key."""
_CHALLENGE = (("WWW-Authenticate", "Bearer"),)


def require(keys: ApiKeys, request: ServiceRequest, scope: str) -> None:
    """Let a request through, or refuse it.

    Args:
        scope: a key of :data:`app.api_keys.SCOPES`, :data:`AUTHENTICATED` or :data:`PUBLIC`.

    Raises:
        ApiError: no key, an unknown one, or one without the scope.
    """
    if scope == "manage" and not keys.can_manage:
        raise ApiError("management_off", "no API key with the scope manage is configured")
    if not keys.configured or scope == PUBLIC:
        return
    given = request.header("x-api-key") or _bearer_token(request.header("authorization"))
    if not given:
        raise ApiError("unauthenticated", "send an API key", headers=_CHALLENGE)
    scopes = keys.scopes_of(given)
    if scopes is None:
        raise ApiError("unauthenticated", "this API key is not known", headers=_CHALLENGE)
    if scope != AUTHENTICATED and scope not in scopes:
        raise ApiError("forbidden", f"this API key lacks the scope {scope}")


def _bearer_token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
