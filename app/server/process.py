"""Set-up of the server process: shared metrics, the limit of open files, memory of the C library.

gunicorn.conf.py calls these functions once, before the workers are forked.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import resource
import shutil
import tempfile
from pathlib import Path

from app.settings import Settings
from app.web import enable_multiprocess_mode

MAX_OPEN_FILES = 65_536
KEPT_BYTES = 32 * 1024**2

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h


def share_metrics_between_workers(settings: Settings) -> Path:
    """Prepare the folder in which the workers share their metrics and load overrides.

    Without the setting ``RUN_FOLDER`` a temporary folder is created and the variable is set to it.
    The process that created the folder removes it when it exits; a forked worker does not.

    Returns:
        The folder.
    """
    if settings.run_folder is None:
        # In memory if possible: counting must neither wait for a disk nor fail on a full one.
        shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        folder = tempfile.mkdtemp(prefix="tabular-", dir=shared_memory)
        os.environ["RUN_FOLDER"] = folder
        atexit.register(_remove_folder, folder, os.getpid())
    enable_multiprocess_mode(os.environ["RUN_FOLDER"])
    return Path(os.environ["RUN_FOLDER"])


def raise_file_limit() -> None:
    """Raise the soft limit of open files up to :data:`MAX_OPEN_FILES`.

    An event loop holds one file per client, so the usual limit of 1,024 is soon reached.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def keep_freed_memory() -> None:
    """Make glibc keep up to :data:`KEPT_BYTES` of freed memory. Do nothing for other C libraries.

    By default glibc returns the memory of a batch to the system after each request and requests
    it again for the next: up to 600 pages, one millisecond of fifteen.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            libc.mallopt(option, KEPT_BYTES)


def _remove_folder(folder: str, owner_pid: int) -> None:
    if os.getpid() == owner_pid:
        shutil.rmtree(folder, ignore_errors=True)
