"""The configuration of the log: one line per event on stderr, without values of records.

gunicorn quotes requests that it cannot parse. If a client declares a wrong body length, that is the
rest of a record, so gunicorn's messages are reduced to the kind of event.
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
    """A filter that removes the client's data from gunicorn's messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message; return whether to log it."""
        for start in ("Invalid request from", "Error handling request"):
            if str(record.msg).startswith(start):
                record.msg, record.args = f"{start} a client.", ()
        return True


class RateLimitFilter(logging.Filter):
    """A filter that passes 100 lines per second and logger, and counts the suppressed ones.

    A client can send thousands of invalid requests per second. Logging each writes a gigabyte in
    half an hour, and the workers block if the reader of the log falls behind. Errors of the service
    always pass.
    """

    def __init__(self, per_second: int = 100) -> None:
        super().__init__()
        self._per_second = per_second
        self._lines: dict[str, tuple[int, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log the record; add the number of suppressed lines to the next one."""
        if record.levelno >= logging.ERROR:
            return True
        now = int(time.monotonic())
        second, n = self._lines.get(record.name, (now, 0))
        if second != now:
            if n > self._per_second:
                n_suppressed = n - self._per_second
                message = f"{record.getMessage()} ({n_suppressed} lines suppressed)"
                record.msg, record.args = message, ()
            n = 0
        self._lines[record.name] = (now, n + 1)
        return n < self._per_second


class NoMessageFormatter(logging.Formatter):
    """A formatter that omits the messages of exceptions, which may contain a value."""

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """Return the traceback and the class of an exception, without its message."""
        exception_type, _, frames = ei
        name = exception_type.__name__ if exception_type else "no exception"
        return "".join(traceback.format_tb(frames)) + name


class JsonFormatter(NoMessageFormatter):
    """A formatter of one JSON object per event, with the ID of the current request.

    {"time": "2026-11-20T10:15:02.123+00:00", "level": "info", "logger": "app.web.errors",
     "message": "Request rejected: broken_json, status 400.", "process": 17,
     "request_id": "…", "trace_id": "…", "route": "/predict"}
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the event as a line of JSON."""
        timestamp = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": timestamp.isoformat(timespec="milliseconds"),
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


def build_logging_config(level: str, log_format: str) -> dict[str, Any]:
    """Return a dictionary for :func:`logging.config.dictConfig` and gunicorn's ``logconfig_dict``.

    Args:
        level: the lowest level to log, such as ``info``.
        log_format: ``json`` or ``text``.
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
                "formatter": log_format,
                "filters": ["redact", "rate_limit"],
            }
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            # Messages about the start and the stop are of no use to an operator.
            "gunicorn.error": {"level": "WARNING", "handlers": ["stderr"], "propagate": False},
            "uvicorn.error": {"level": "WARNING"},
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": False},
        },
    }
