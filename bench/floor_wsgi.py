"""The floor without Flask: what gunicorn and the sockets cost before any framework."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The same probability to every body that is JSON, and how many records it held."""
    content = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    n_records = len(content) if isinstance(content, list) else 1
    answer = json.dumps({"probability": 0.5, "records": n_records}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    start_response("200 OK", headers)
    return [answer]
