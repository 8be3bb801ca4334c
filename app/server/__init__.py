"""The gunicorn workers, the ASGI application, and the set-up of the server process.

asgi                  an ASGI application around the WSGI service
worker                gunicorn's ASGI worker with graceful shutdown
single_thread_worker  a single-threaded gthread worker with graceful shutdown
listening             draining of the accept queue
port_check            a check that the port is free
process               metrics shared between workers, file limit, memory of the C library
"""

from app.server.port_check import require_free_port
from app.server.process import (
    keep_freed_memory,
    raise_file_limit,
    share_metrics_between_workers,
)

__all__ = [
    "keep_freed_memory",
    "raise_file_limit",
    "require_free_port",
    "share_metrics_between_workers",
]
