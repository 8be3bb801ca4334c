"""The documentation page at ``/docs``, rendered on the server without external assets.

The page works without JavaScript. With JavaScript, it can send a record to the service.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import render_template
from werkzeug.wsgi import get_host

from app.openapi import Description
from app.page.view_model import build_view
from app.service import Service
from app.web import PUBLIC, ErrorResponse, ServiceRequest, ServiceResponse

HTML = "text/html; charset=utf-8"
POLICY = (
    "Content-Security-Policy",
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
_FILES = {"page.css": "text/css; charset=utf-8", "try.js": "text/javascript; charset=utf-8"}


def register_page(service: Service, description: Description) -> None:
    """Register ``/``, ``/docs`` and its static files.

    These routes are public, because a browser sends no API key by itself.
    """

    def root(request: ServiceRequest) -> ServiceResponse:
        """Report that the process is alive, or redirect a browser to the documentation."""
        vary = (("Vary", "Accept"),)
        if request.accepted.best_match(["application/json", "text/html"]) == "text/html":
            return ServiceResponse(b"", 302, HTML, (("Location", "/docs"), *vary))
        return ServiceResponse(b'{"status":"alive"}', headers=vary)

    def docs(request: ServiceRequest) -> ServiceResponse:
        """Return the documentation page."""
        model = request.bind_model(service.models.get())
        base_url = f"{request.environ['wsgi.url_scheme']}://{get_host(request.environ)}"
        return _page(
            "docs.html",
            keys=service.keys.configured,
            base_url=base_url,
            **build_view(description.for_model(model), model.schema),
        )

    def css(request: ServiceRequest) -> ServiceResponse:
        """Return the style sheet of the documentation page."""
        return files["page.css"]

    def script(request: ServiceRequest) -> ServiceResponse:
        """Return the script of the documentation page."""
        return files["try.js"]

    folder = Path(__file__).parent / "static"
    files = {
        name: ServiceResponse((folder / name).read_bytes(), media_type=media_type)
        for name, media_type in _FILES.items()
    }
    service.jinja_env.filters["pretty"] = _pretty
    service.add_route("GET", "/", root, PUBLIC)
    service.add_route("GET", "/docs", docs, PUBLIC, render_error=_render_error)
    service.add_route("GET", "/docs/page.css", css, PUBLIC)
    service.add_route("GET", "/docs/try.js", script, PUBLIC)


def _page(template: str, status: int = 200, **values: Any) -> ServiceResponse:
    body = render_template(template, **values).encode()
    return ServiceResponse(body, status, HTML, (POLICY,))


def _render_error(error_response: ErrorResponse) -> ServiceResponse:
    return _page("error.html", error_response.status, details=error_response.details())


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
