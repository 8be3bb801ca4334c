"""The documentation page at ``/docs``, rendered here without external assets.

It works without JavaScript; with it, a record can be sent from the page.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import render_template
from werkzeug.wsgi import get_host

from app.openapi import Description
from app.page.view_model import contents
from app.service import Service
from app.web import OPEN, Answer, Call, Refusal

HTML = "text/html; charset=utf-8"


POLICY = (
    "Content-Security-Policy",
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)


_FILES = {"page.css": "text/css; charset=utf-8", "try.js": "text/javascript; charset=utf-8"}


def register_page(service: Service, description: Description) -> None:
    """Add ``/``, ``/docs`` and its files: open, because a browser sends no key by itself."""

    def root(call: Call) -> Answer:
        """Whether the process answers at all; whoever prefers HTML is sent to the documentation."""
        vary = (("Vary", "Accept"),)
        if call.accepted.best_match(["application/json", "text/html"]) == "text/html":
            return Answer(b"", 302, HTML, (("Location", "/docs"), *vary))
        return Answer(b'{"status":"alive"}', headers=vary)

    def docs(call: Call) -> Answer:
        """The documentation as a page."""
        model = call.answered_by(service.models.get())
        address = f"{call.environ['wsgi.url_scheme']}://{get_host(call.environ)}"
        return _page(
            "docs.html",
            keys=service.keys.configured,
            address=address,
            **contents(description.of(model), model.schema),
        )

    def css(call: Call) -> Answer:
        """How the documentation looks."""
        return files["page.css"]

    def script(call: Call) -> Answer:
        """Sends the record that is written on the page."""
        return files["try.js"]

    folder = Path(__file__).parent / "static"
    files = {
        name: Answer((folder / name).read_bytes(), media_type=kind) for name, kind in _FILES.items()
    }
    service.jinja_env.filters["pretty"] = _pretty
    service.add_route("GET", "/", root, OPEN)
    service.add_route("GET", "/docs", docs, OPEN, render=_refused)
    service.add_route("GET", "/docs/page.css", css, OPEN)
    service.add_route("GET", "/docs/try.js", script, OPEN)


def _page(template: str, status: int = 200, **values: Any) -> Answer:
    body = render_template(template, **values).encode()
    return Answer(body, status, HTML, (POLICY,))


def _refused(refusal: Refusal) -> Answer:
    return _page("refused.html", refusal.status, details=refusal.details())


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
