"""Requests, responses, errors, authentication, compression, metrics and logging.

request         the request and the response
errors          errors as problem details (RFC 9457)
problem_types   the registry of problem types
authentication  authorization of requests by API key and scope
compression     responses compressed with gzip or deflate
metrics         Prometheus metrics of all workers
logging_config  log lines without values of records
"""

from app.web.authentication import AUTHENTICATED, PUBLIC, require
from app.web.compression import compress_response
from app.web.errors import (
    ApiError,
    ErrorResponse,
    NotReady,
    json_pointer,
    log_error,
    to_error_response,
)
from app.web.logging_config import build_logging_config
from app.web.metrics import (
    CONTENT_TYPE,
    Metrics,
    claim_slot,
    enable_multiprocess_mode,
    preallocate_slot,
    release_slot,
)
from app.web.problem_types import PROBLEM_TYPES, ProblemType
from app.web.request import ENVIRON_KEY, SAFE_ID, ServiceRequest, ServiceResponse, request_var

__all__ = [
    "AUTHENTICATED",
    "CONTENT_TYPE",
    "ENVIRON_KEY",
    "PROBLEM_TYPES",
    "PUBLIC",
    "SAFE_ID",
    "ApiError",
    "ErrorResponse",
    "Metrics",
    "NotReady",
    "ProblemType",
    "ServiceRequest",
    "ServiceResponse",
    "build_logging_config",
    "claim_slot",
    "compress_response",
    "enable_multiprocess_mode",
    "json_pointer",
    "log_error",
    "preallocate_slot",
    "release_slot",
    "request_var",
    "require",
    "to_error_response",
]
