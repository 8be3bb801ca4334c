"""Check that the address to listen on is free, also as ``python -m app.server.port_check``."""

from __future__ import annotations

import errno
import socket
import sys

from app.settings import InvalidSettings, Settings


def require_free_port(settings: Settings) -> None:
    """Exit with an error message if the address cannot be bound.

    Without this check gunicorn tries five times and then prints a stack trace.
    """
    host, port = settings.host, settings.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                sys.exit(
                    f"error: port {port} on {host} is used by another program; set another "
                    f"port, such as PORT={port % 65535 + 1}"
                )
            sys.exit(f"error: cannot listen on {host}, port {port}: {error.strerror or error}")


if __name__ == "__main__":
    try:
        require_free_port(Settings.from_environment())
    except InvalidSettings as error:
        sys.exit(f"error: {error}")
