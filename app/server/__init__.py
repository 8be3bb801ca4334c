"""The gunicorn workers, the ASGI application, and the check of the port.

asgi                  the WSGI service behind ASGI
worker                gunicorn's ASGI worker with graceful shutdown
single_thread_worker  a single-threaded gthread worker
listening             draining the accept queue
port_check            whether the port can be bound
"""

from app.server.port_check import require_free_port

__all__ = [
    "require_free_port",
]
