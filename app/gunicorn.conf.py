"""How gunicorn runs the service: ``python -m gunicorn -c app/gunicorn.conf.py app.wsgi:app``.

Everything but ONNX Runtime is imported before the fork, so that the workers share it; the graph
is opened in each worker, because a process that forks after importing ONNX Runtime hangs when it
is stopped.
"""

import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

# One thread a worker: NumPy must not start its own either, and reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from app.address import require_address
from app.logs import logging_config
from app.record_schema import example_record
from app.settings import InvalidSettings, Settings
from model.errors import ModelError
from model.store import Store

try:
    _settings = Settings.from_environment()
except InvalidSettings as error:
    sys.exit(f"error: {error}")

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"  # fmt: skip
workers = _settings.workers
# Eight threads a worker answer no faster and cost a p99 of 23 ms instead of 4.
worker_class = "gthread"
threads = 1
preload_app = True
graceful_timeout = _settings.graceful_seconds
loglevel = _settings.log_level
# No access log: writing a line costs as much as a third of a prediction.
accesslog = None
errorlog = "-"
# The heartbeat file of a worker, in memory: a container's file system is read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True
logconfig_dict = logging_config(_settings.log_level)


def on_starting(server: Any) -> None:
    """Stop at once, with a message, where the address cannot be had."""
    require_address(_settings)


def when_ready(server: Any) -> None:
    """Say where the service is and how to ask it, and have silent clients dropped."""
    for listener in server.LISTENERS:
        # Accepted connections inherit it: a read that gets nothing for so long fails. Without it a
        # client that stops in the middle of a request would keep its worker for good.
        limit = struct.pack("ll", _settings.client_seconds, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    print(f"\nserving on http://{bind}, {workers} workers; stop with Ctrl-C", flush=True)
    try:
        store = Store(_settings.model_store)
        schema = store.read(store.current().version).schema
    except ModelError as error:
        print(f"no model yet: {error}\n", flush=True)
        return
    record = json.dumps(example_record(schema))
    address = f"http://{bind}/predict".replace("0.0.0.0", "127.0.0.1")
    print(f"\ncurl {address} -H 'Content-Type: application/json' \\\n  -d '{record}'\n", flush=True)


def post_worker_init(worker: Any) -> None:
    """Open the graph in the worker, before its first request."""
    worker.wsgi.extensions["current_model"].start()
