"""API keys: only their hashes are configured, and each opens some scopes.

An entry is ``NAME:SCOPES:SHA256``, the scopes joined by ``+``; entries are separated by white
space. Without any entry everything is open but managing, which is then off.

    python -m app.api_keys ward-7 predict explain

prints a new key, once, and the entry for it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Mapping, Sequence

SCOPES: Mapping[str, str] = {
    "predict": "ask for probabilities",
    "explain": "ask for explanations",
    "monitor": "read the metrics",
    "manage": "load and unload versions",
}
_ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([a-z]+(?:\+[a-z]+)*):([0-9a-f]{64})")


class ApiKeys:
    """The keys of the service.

    Args:
        entries: as in the module's docstring; lines may hold comments after ``#``.

    Attributes:
        configured: whether there are any; without, everything is open but managing.
        can_manage: whether one of them opens managing.

    Raises:
        ValueError: an entry is none, by its number; the entry itself is never shown.
    """

    def __init__(self, entries: str = "") -> None:
        self._scopes: list[tuple[bytes, frozenset[str]]] = []
        words = [word for line in entries.splitlines() for word in line.partition("#")[0].split()]
        for number, word in enumerate(words, start=1):
            found = _ENTRY.fullmatch(word)
            scopes = frozenset(found[2].split("+")) if found else frozenset()
            if found is None or not scopes <= set(SCOPES):
                raise ValueError(
                    f"entry {number} must be NAME:SCOPES:SHA256, with scopes of "
                    f"{', '.join(SCOPES)} joined by +"
                )
            self._scopes.append((bytes.fromhex(found[3]), scopes))
        self.configured = bool(self._scopes)
        self.can_manage = any("manage" in scopes for _, scopes in self._scopes)

    def scopes_of(self, key: str) -> frozenset[str] | None:
        """Return the scopes of a key; None for an unknown one, in the same time as for any other."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = None
        for known, scopes in self._scopes:
            if hmac.compare_digest(known, digest):
                found = scopes
        return found


def new_entry(name: str, scopes: Sequence[str]) -> tuple[str, str]:
    """A new key of 256 random bits, and the entry that lets it in.

    A key this long cannot be guessed, so a plain hash of it is enough.
    """
    key = secrets.token_urlsafe(32)
    entry = f"{name}:{'+'.join(scopes)}:{hashlib.sha256(key.encode()).hexdigest()}"
    ApiKeys(entry)
    return key, entry


def main(arguments: Sequence[str]) -> None:
    """Print a new key and its entry."""
    if len(arguments) < 2:
        sys.exit(f"usage: python -m app.api_keys NAME SCOPE...   scopes: {', '.join(SCOPES)}")
    try:
        key, entry = new_entry(arguments[0], arguments[1:])
    except ValueError as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"key, shown only now: {key}\nentry for API_KEYS:   {entry}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
