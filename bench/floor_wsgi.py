"""The floor without Flask: the cost of gunicorn and the sockets alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Return a constant probability and the number of records in the request."""
    content = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    n_records = len(content) if isinstance(content, list) else 1
    body = json.dumps({"probability": 0.5, "records": n_records}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
