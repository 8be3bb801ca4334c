"""The server process: the gunicorn worker, its connections, the ASGI application, the set-up.

worker      the gunicorn worker, which runs uvicorn's HTTP protocol
connection  limits for clients that misbehave
asgi        the ASGI application around the WSGI service
port_check  a check that the port is free
process     metrics shared between workers, file limit, memory of the C library
"""

from typing import TYPE_CHECKING

from model.lazy_imports import lazy_attributes

if TYPE_CHECKING:
    from app.server.port_check import require_free_port as require_free_port
    from app.server.process import keep_freed_memory as keep_freed_memory
    from app.server.process import raise_file_limit as raise_file_limit
    from app.server.process import share_metrics_between_workers as share_metrics_between_workers
else:
    # Lazy, because `python -m app.server.port_check` warns if its package has imported it already.
    __getattr__ = lazy_attributes(
        __name__,
        {
            "port_check": ["require_free_port"],
            "process": ["keep_freed_memory", "raise_file_limit", "share_metrics_between_workers"],
        },
    )
