"""Draining of the accept queue when a worker stops."""

from __future__ import annotations

import socket
from typing import Any


def drain_accept_queue(listener: Any) -> list[tuple[socket.socket, Any]]:
    """Accept all pending connections without waiting for new ones.

    Close the listener directly afterwards: a client that connects in between gets a reset.

    Args:
        listener: The listening socket of gunicorn, in non-blocking mode.

    Returns:
        The sockets and addresses of the clients.
    """
    clients: list[tuple[socket.socket, Any]] = []
    while True:
        try:
            clients.append(listener.accept())
        except ConnectionError:  # this client has disconnected; others may follow
            continue
        except OSError:  # BlockingIOError: the queue is empty
            return clients
