"""API keys, configured as hashes with the scopes that each key grants.

An entry is ``NAME:SCOPES:SHA256`` with the scopes joined by ``+``. Entries are separated by white
space. Without any entry every route is open, except that management is disabled.

    python -m app.api_keys ward-7 predict explain

prints a new key, which is stored nowhere, and its entry.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Mapping, Sequence

SCOPES: Mapping[str, str] = {
    "predict": "request probabilities",
    "explain": "request explanations",
    "monitor": "read the metrics",
    "manage": "load and unload versions",
}
_ENTRY = re.compile(r"([A-Za-z0-9._-]{1,64}):([a-z]+(?:\+[a-z]+)*):([0-9a-f]{64})")


class ApiKeys:
    """The configured API keys.

    Args:
        entries: entries as in the module's docstring; ``#`` starts a comment.

    Attributes:
        configured: whether there is any key; otherwise every route but management is open.
        can_manage: whether any key has the scope ``manage``.

    Raises:
        ValueError: an entry is not valid; the message has its number and never the entry itself.
    """

    def __init__(self, entries: str = "") -> None:
        self._scopes: list[tuple[bytes, frozenset[str]]] = []
        words = [word for line in entries.splitlines() for word in line.partition("#")[0].split()]
        for number, word in enumerate(words, start=1):
            match = _ENTRY.fullmatch(word)
            scopes = frozenset(match[2].split("+")) if match else frozenset()
            if match is None or not scopes <= set(SCOPES):
                raise ValueError(
                    f"entry {number} must be NAME:SCOPES:SHA256, with scopes from "
                    f"{', '.join(SCOPES)} joined by +"
                )
            self._scopes.append((bytes.fromhex(match[3]), scopes))
        self.configured = bool(self._scopes)
        self.can_manage = any("manage" in scopes for _, scopes in self._scopes)

    def scopes_of(self, key: str) -> frozenset[str] | None:
        """Return the scopes of a key; None if it is unknown. Both take the same time."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        granted = None
        for configured_digest, scopes in self._scopes:
            if hmac.compare_digest(configured_digest, digest):
                granted = scopes
        return granted


def new_entry(name: str, scopes: Sequence[str]) -> tuple[str, str]:
    """Return a new key of 256 random bits, and its entry.

    A key this long cannot be guessed, so a plain hash without salt is enough.

    Args:
        name: 1 to 64 of the characters A-Z a-z 0-9 . _ -
        scopes: keys of :data:`SCOPES`, at least one.

    Raises:
        ValueError: the name or a scope is not allowed.
    """
    key = secrets.token_urlsafe(32)
    entry = f"{name}:{'+'.join(scopes)}:{hashlib.sha256(key.encode()).hexdigest()}"
    ApiKeys(entry)
    return key, entry


def main(arguments: Sequence[str]) -> None:
    """Print a new key and its entry; exit with a message if the arguments are not valid.

    Args:
        arguments: the name of the key, followed by its scopes.
    """
    if len(arguments) < 2:
        scopes = "\n".join(f"  {name:8} {meaning}" for name, meaning in SCOPES.items())
        sys.exit(f"usage: python -m app.api_keys NAME SCOPE...\nscopes:\n{scopes}")
    try:
        key, entry = new_entry(arguments[0], arguments[1:])
    except ValueError as error:
        sys.exit(f"error: {error}")
    sys.stdout.write(f"Key, shown only once: {key}\nEntry for API_KEYS:    {entry}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
