"""Requests, responses, errors, authentication, compression, metrics and logging.

request         the request and the response
errors          errors as problem details (RFC 9457)
problem_types   the registry of problem types
authentication  the guard of the routes: API keys and scopes
compression     gzip and deflate responses
metrics         Prometheus metrics of all workers
logging_config  log lines without values of records
"""

from app.web.authentication import ANY_KEY, OPEN, require
from app.web.compression import packed
from app.web.errors import NotReady, Refusal, Refused, as_refusal, pointer_of, refusal_of
from app.web.logging_config import logging_config
from app.web.metrics import (
    CONTENT_TYPE,
    Metrics,
    leave_place,
    make_room,
    share_between_processes,
    take_place,
)
from app.web.problem_types import KINDS, Kind
from app.web.request import KEY, SAFE_ID, Answer, Call, current_call

__all__ = [
    "ANY_KEY",
    "CONTENT_TYPE",
    "KEY",
    "KINDS",
    "OPEN",
    "SAFE_ID",
    "Answer",
    "Call",
    "Kind",
    "Metrics",
    "NotReady",
    "Refusal",
    "Refused",
    "as_refusal",
    "current_call",
    "leave_place",
    "logging_config",
    "make_room",
    "packed",
    "pointer_of",
    "refusal_of",
    "require",
    "share_between_processes",
    "take_place",
]
