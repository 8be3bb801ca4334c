"""The guard of the routes: API keys and their scopes."""

from __future__ import annotations

from app.api_keys import Keys
from app.web.errors import Refused
from app.web.request import Call

OPEN, ANY_KEY = "open", "any"
"""What a route asks for where it asks for no scope: nothing at all, or any key."""
_CHALLENGE = (("WWW-Authenticate", "Bearer"),)


def require(keys: Keys, call: Call, scope: str) -> None:
    """Let a request through, or refuse it.

    Args:
        scope: a key of :data:`app.api_keys.SCOPES`, :data:`ANY_KEY` or :data:`OPEN`.

    Raises:
        Refused: no key, an unknown one, or one without the scope.
    """
    if scope == "manage" and not keys.manages:
        raise Refused("management_off", "no API key with the scope manage is configured")
    if not keys.configured or scope == OPEN:
        return
    given = call.header("x-api-key") or _bearer(call.header("authorization"))
    if not given:
        raise Refused("unauthenticated", "send an API key", headers=_CHALLENGE)
    scopes = keys.scopes_of(given)
    if scopes is None:
        raise Refused("unauthenticated", "this API key is not known", headers=_CHALLENGE)
    if scope != ANY_KEY and scope not in scopes:
        raise Refused("forbidden", f"this API key lacks the scope {scope}")


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
