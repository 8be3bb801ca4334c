"""The service's log: one line an event on stderr, and no value of a record in any of them.

gunicorn quotes what it cannot parse. Where a client gets the length of a body wrong, that is the
rest of a record; so what gunicorn says is cut down to what happened.
"""

from __future__ import annotations

import logging
import traceback
from types import TracebackType
from typing import Any

ExceptionInfo = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class Discreet(logging.Filter):
    """Takes what a client sent out of gunicorn's messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged at all, after it was cut down."""
        if record.exc_info and isinstance(record.exc_info[1], BlockingIOError):
            return False  # a client that stopped sending; see gunicorn.conf.py
        for start in ("Invalid request from", "Error handling request"):
            if str(record.msg).startswith(start):
                record.msg, record.args = f"{start} a client", ()
        return True


class WithoutMessages(logging.Formatter):
    """Shows an exception's class and where it happened; its message may quote a value."""

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802
        """The frames and the class, without the message."""
        kind, _, where = ei
        name = kind.__name__ if kind else "no exception"
        return "".join(traceback.format_tb(where)) + name


def logging_config(level: str) -> dict[str, Any]:
    """For :func:`logging.config.dictConfig`; gunicorn takes it as ``logconfig_dict``."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": {
                "()": WithoutMessages,
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
            }
        },
        "filters": {"discreet": {"()": Discreet}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "plain",
                "filters": ["discreet"],
            }
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            # gunicorn's own start and stop messages are of no use to whoever started it.
            "gunicorn.error": {"level": "WARNING", "handlers": ["stderr"], "propagate": False},
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": False},
        },
    }
