"""The service's log: one line an event on stderr, and no value of a record in any of them.

gunicorn quotes what it cannot parse. Where a client gets the length of a body wrong, that is the
rest of a record; so what gunicorn says is cut down to what happened.
"""

from __future__ import annotations

import datetime
import logging
import time
import traceback
from types import TracebackType
from typing import Any

import msgspec

from app.web.request import request_var

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class RedactingFilter(logging.Filter):
    """Takes what a client sent out of gunicorn's messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged at all, after it was cut down."""
        if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
            return False  # a client that stopped sending; see gunicorn.conf.py
        for start in ("Invalid request from", "Error handling request"):
            if str(record.msg).startswith(start):
                record.msg, record.args = f"{start} a client", ()
        return True


class RateLimitFilter(logging.Filter):
    """Lets a hundred lines a second of each logger through, and says how many it left out.

    A client that sends nothing but nonsense is refused thousands of times a second. A line for each
    fills a disk by a gigabyte in half an hour, and where whoever reads the log falls behind, the
    workers wait for it. Errors are ours and always pass.
    """

    def __init__(self, per_second: int = 100) -> None:
        super().__init__()
        self._per_second = per_second
        self._lines: dict[str, tuple[int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; the first of a second tells what was left out before."""
        if record.levelno >= logging.ERROR:
            return True
        now = int(time.monotonic())
        second, n = self._lines.get(record.name, (now, 0))
        if second != now:
            if n > self._per_second:
                left_out = n - self._per_second
                record.msg, record.args = f"{record.getMessage()}; {left_out} lines left out", ()
            n = 0
        self._lines[record.name] = (now, n + 1)
        return n < self._per_second


class NoMessageFormatter(logging.Formatter):
    """Shows an exception's class and where it happened; its message may quote a value."""

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """The frames and the class, without the message."""
        kind, _, where = ei
        name = kind.__name__ if kind else "no exception"
        return "".join(traceback.format_tb(where)) + name


class JsonFormatter(NoMessageFormatter):
    """One JSON object an event, with the request's id where there is a request.

    {"time": "2026-11-20T10:15:02.123+00:00", "level": "info", "logger": "app.web.errors",
     "message": "refused: broken_json, status 400", "process": 17,
     "request_id": "…", "trace_id": "…", "route": "/predict"}
    """

    def format(self, record: logging.LogRecord) -> str:
        """The event as a line of JSON."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        request = request_var.get()
        if request is not None:
            line["request_id"] = request.request_id
            if request.trace_id:
                line["trace_id"] = request.trace_id
            if request.route:
                line["route"] = request.route
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def build_logging_config(level: str, form: str) -> dict[str, Any]:
    """For :func:`logging.config.dictConfig`; gunicorn takes it as ``logconfig_dict``.

    Args:
        form: ``json`` or ``text``.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": JsonFormatter},
            "text": {
                "()": NoMessageFormatter,
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
            },
        },
        "filters": {"redact": {"()": RedactingFilter}, "rate_limit": {"()": RateLimitFilter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "filters": ["redact", "rate_limit"],
            }
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            # gunicorn's own start and stop messages are of no use to whoever started it.
            "gunicorn.error": {"level": "WARNING", "handlers": ["stderr"], "propagate": False},
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": False},
        },
    }
