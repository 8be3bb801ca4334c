"""How gunicorn runs the service: ``python -m gunicorn -c app/gunicorn.conf.py app.wsgi:app``.

Everything is imported before the fork, so that the workers share it; each opens the graph for itself,
because each must be able to replace it.
"""

import atexit
import contextlib
import ctypes
import gc
import json
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

# One thread a worker: NumPy must not start its own either, and reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from gunicorn.glogging import Logger

from app.models import LoadOverrides
from app.openapi import example_record
from app.server import require_free_port
from app.settings import InvalidSettings, Settings
from app.web import (
    build_logging_config,
    claim_slot,
    enable_multiprocess_mode,
    preallocate_slot,
    release_slot,
)
from model.artifacts import Store
from model.errors import ModelError
from model.inference import set_up_runtime

set_up_runtime()

try:
    _settings = Settings.from_environment()
except InvalidSettings as error:
    sys.exit(f"error: {error}")

if _settings.run_folder is None:
    # In memory where that can be had: counting must not wait for a disk, nor fail on a full one.
    _shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    os.environ["RUN_FOLDER"] = tempfile.mkdtemp(prefix="tabular-", dir=_shared_memory)
    _owner_pid = os.getpid()
    atexit.register(
        lambda: os.getpid() == _owner_pid and shutil.rmtree(os.environ["RUN_FOLDER"], True)
    )
enable_multiprocess_mode(os.environ["RUN_FOLDER"])

# An event loop holds a file for each client, and the usual limit of 1,024 is soon reached.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
_file_limit = 65_536 if _hard == resource.RLIM_INFINITY else min(_hard, 65_536)
if _soft != resource.RLIM_INFINITY and _soft < _file_limit:
    resource.setrlimit(resource.RLIMIT_NOFILE, (_file_limit, _hard))

# The C library would give the memory of a batch back after each and take it anew for the next: up to
# 600 pages, a millisecond of fifteen.
_libc = ctypes.CDLL(None)
if hasattr(_libc, "mallopt"):
    for _option in (-1, -3):  # glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
        _libc.mallopt(_option, 32 * 1024**2)

bind = f"[{_settings.host}]:{_settings.port}" if ":" in _settings.host else f"{_settings.host}:{_settings.port}"  # fmt: skip
workers = _settings.workers
# An event loop a worker; with `-k app.server.single_thread_worker.SingleThreadWorker` an ordinary one.
worker_class = "app.server.worker.AsgiWorker"
preload_app = True
# Otherwise it would take uvloop and gunicorn_h1c where it finds them, which are neither pinned nor
# tested here.
asgi_loop = "asyncio"
http_parser = "python"
# A client that has gone waits for nothing. Kept for gunicorn's three seconds, connections of clients
# that open a new one for each request add up to 100 MB and more.
asgi_disconnect_grace_period = 0
graceful_timeout = _settings.graceful_seconds
# The ordinary worker waits for a client in the thread that also says that it lives.
timeout = max(30, _settings.client_seconds + 20)
loglevel = _settings.log_level
# No access log: writing a line costs half as much as a prediction; the metrics count requests.
accesslog = None
errorlog = "-"
# The heartbeat file of a worker, in memory: a container's file system is read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True
logconfig_dict = build_logging_config(_settings.log_level, _settings.log_format)


class logger_class(Logger):  # noqa: N801 - gunicorn's name for the setting
    """gunicorn's logger without the access log, for which it would gather facts all the same."""

    access_log_enabled = False


_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
"""The signals that end a worker. A new one would lose them: until it has handlers of its own it has
those that it was forked with, which tell nobody; it would then serve until it is killed."""
os.register_at_fork(
    after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
)


def on_starting(server: Any) -> None:
    """Stop at once, with a message, where the address cannot be had; wish for nothing yet."""
    require_free_port(_settings)
    LoadOverrides(Path(os.environ["RUN_FOLDER"])).clear()


def when_ready(server: Any) -> None:
    """Say where the service is and how to ask it, and have silent clients dropped."""
    for listener in server.LISTENERS:
        # Accepted connections inherit it: a read that gets nothing for so long fails. Without it a
        # client that stops in the middle of a request would keep an ordinary worker for good.
        limit = struct.pack("ll", _settings.client_seconds, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    _write_stdout(f"\nserving on http://{bind}, {workers} workers; stop with Ctrl-C")
    try:
        store = Store(_settings.model_store)
        schema = store.read(store.current().version).schema
    except ModelError as error:
        _write_stdout(f"no model yet: {error}\n")
        return
    record = json.dumps(example_record(schema))
    address = f"http://{bind}/predict".replace("0.0.0.0", "127.0.0.1")
    _write_stdout(f"\ncurl {address} -H 'Content-Type: application/json' \\\n  -d '{record}'\n")


def _write_stdout(text: str) -> None:
    """Tell whoever has started the service; where that is not to be had, it serves all the same."""
    with contextlib.suppress(OSError):
        os.write(1, f"{text}\n".encode())


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker a place, before it is a process of its own, and let no signal disturb that."""
    # The smallest number that no living worker has; those of before a reload (SIGHUP) live on for a
    # while.
    taken = {getattr(other, "slot", None) for other in server.WORKERS.values()}
    worker.slot = next(n for n in range(len(taken) + 1) if n not in taken)
    preallocate_slot(str(worker.slot))
    # The collector writes into every object that it looks at, and a page that is written to is no
    # longer shared with the workers. What is frozen it leaves alone.
    gc.collect()
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


def post_fork(server: Any, worker: Any) -> None:
    """Go on counting where whoever had this place before has stopped."""
    claim_slot(str(worker.slot))


def child_exit(server: Any, worker: Any) -> None:
    """Forget what only a living worker can say, and give its place free."""
    release_slot(str(worker.slot))


def post_worker_init(worker: Any) -> None:
    """Open the graph in the worker, before its first request; it may be stopped from here on."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    worker.app.wsgi().models.start()
    gc.freeze()
    # A request leaves a few cycles behind; looking for them after every 700 objects costs more
    # than what they hold meanwhile.
    gc.set_threshold(20_000, 10, 10)
