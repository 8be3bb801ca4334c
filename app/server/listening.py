"""What both workers do with the listening sockets when they stop."""

from __future__ import annotations

import socket
from typing import Any


def drain_accept_queue(listener: Any) -> list[tuple[socket.socket, Any]]:
    """Accept whoever waits, at once.

    Who connects after the last look sees a reset when the listener is closed: close it right then.

    Args:
        listener: gunicorn's, which does not block.

    Returns:
        The clients' sockets and addresses.
    """
    clients: list[tuple[socket.socket, Any]] = []
    while True:
        try:
            clients.append(listener.accept())
        except ConnectionError:  # one that has gone; others may wait behind it
            continue
        except OSError:  # BlockingIOError: that was the last one
            return clients
