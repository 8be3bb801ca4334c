"""gunicorn's configuration: ``python -m gunicorn -c app/gunicorn.conf.py app.wsgi:app``.

Everything is imported before the fork, so that the workers share its memory. Each worker opens the
ONNX graph itself, because each must be able to replace it.
"""

import contextlib
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

# One thread per worker: NumPy must not start its own. It reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from gunicorn.glogging import Logger

from app.models import LoadOverrides, example_record
from app.server import (
    keep_freed_memory,
    raise_file_limit,
    require_free_port,
    share_metrics_between_workers,
)
from app.settings import InvalidSettings, Settings
from app.web import (
    build_logging_config,
    claim_slot,
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

_run_folder = share_metrics_between_workers(_settings)
raise_file_limit()
keep_freed_memory()

_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host  # IPv6 in brackets
bind = f"{_host}:{_settings.port}"
workers = _settings.workers
worker_class = "app.server.worker.AsgiWorker"
preload_app = True
graceful_timeout = _settings.graceful_seconds
# gunicorn's sync worker reads from clients in the thread that also updates its heartbeat.
timeout = max(30, _settings.client_seconds + 20)
loglevel = _settings.log_level
# No access log: writing a line costs half as much as a prediction. The metrics count requests.
accesslog = None
errorlog = "-"
# The heartbeat files are in memory, because a container's file system is read-only.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True
logconfig_dict = build_logging_config(_settings.log_level, _settings.log_format)


class logger_class(Logger):  # noqa: N801 - gunicorn's name for the setting
    """gunicorn's logger without the access log, whose data it would otherwise still collect."""

    access_log_enabled = False


_STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
"""The signals that stop a worker. They are blocked until a new worker has installed its handlers:
the handlers inherited from the parent would swallow them, and it would serve until it is killed."""
os.register_at_fork(
    after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
)


def on_starting(server: Any) -> None:
    """Exit if the port is taken. Clear the load overrides."""
    require_free_port(_settings)
    LoadOverrides(_run_folder).clear()


def when_ready(server: Any) -> None:
    """Print the address and an example request."""
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
    """Write to standard output. Ignore errors, because it may be closed or full."""
    with contextlib.suppress(OSError):
        os.write(1, f"{text}\n".encode())


def pre_fork(server: Any, worker: Any) -> None:
    """Assign a metric slot to the worker and block the stop signals until it handles them."""
    # The smallest number that no running worker has. Workers from before a reload (SIGHUP) keep
    # running for a while.
    taken = {getattr(other, "slot", None) for other in server.WORKERS.values()}
    worker.slot = next(n for n in range(len(taken) + 1) if n not in taken)
    preallocate_slot(str(worker.slot))
    # The garbage collector writes into every object that it visits, and a page that is written to
    # is no longer shared with the workers. It does not visit frozen objects.
    gc.collect()
    gc.freeze()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)


def post_fork(server: Any, worker: Any) -> None:
    """Continue the counters of the worker that had this slot before."""
    claim_slot(str(worker.slot))


def child_exit(server: Any, worker: Any) -> None:
    """Clear the dead worker's live gauges and release its slot."""
    release_slot(str(worker.slot))


def post_worker_init(worker: Any) -> None:
    """Unblock the stop signals and load the model before the first request."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    worker.app.wsgi().models.start()
    gc.freeze()
    # A request leaves a few reference cycles. Collecting after every 700 objects costs more than
    # the memory that they hold meanwhile.
    gc.set_threshold(20_000, 10, 10)
