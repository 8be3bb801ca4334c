"""The pages under ``/docs``, rendered on the server without external assets.

``/docs`` shows the OpenAPI document, which describes our own routes. Each protocol of other servers
has a page with its routes and links to its specifications. The pages work without JavaScript. With
JavaScript, ``/docs`` can send a record to the service.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flask import render_template
from werkzeug.wsgi import get_host

from app.api import document_of
from app.models import DocumentedModel
from app.openapi import MODEL_ERRORS, constant_response, response
from app.page.view_model import build_protocol_view, build_view
from app.protocols import PROTOCOLS
from app.routing import Json, Router
from app.service import Service
from app.web import PUBLIC, ApiError, ErrorResponse, ServiceRequest, ServiceResponse

HTML = "text/html; charset=utf-8"
POLICY = (
    "Content-Security-Policy",
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)
_STATIC = Path(__file__).parent / "static"
_TEXT: Json = {"type": "string"}

# All routes are public, because a browser sends no API key by itself.
router = Router(tag="Documentation")


def _page(template: str, status: int = 200, **values: Any) -> ServiceResponse:
    body = render_template(template, pretty=_pretty, **values).encode()
    return ServiceResponse(body, status, HTML, (POLICY,))


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def render_error(error_response: ErrorResponse) -> ServiceResponse:
    """Return an error as a page."""
    return _page("error.html", error_response.status, details=error_response.details())


@router.route(
    "GET",
    "/",
    scope=PUBLIC,
    responses={
        200: constant_response("The process is alive.", status="alive"),
        302: {
            "description": "A redirect to the documentation, for clients that prefer HTML to JSON.",
            "headers": {"Location": {"required": True, "schema": {"const": "/docs"}}},
        },
    },
)
def root(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Report that the process is alive, or redirect a browser to the documentation."""
    vary = (("Vary", "Accept"),)
    if request.accepted.best_match(["application/json", "text/html"]) == "text/html":
        return ServiceResponse(b"", 302, HTML, (("Location", "/docs"), *vary))
    return ServiceResponse(b'{"status":"alive"}', headers=vary)


@router.route(
    "GET",
    "/docs",
    scope=PUBLIC,
    responses={200: response("The documentation page.", _TEXT, "text/html")},
    errors=MODEL_ERRORS,
    render_error=render_error,
)
def docs(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the documentation as a page, with a form to try a record."""
    model = request.bind_model(service.models.get())
    view = build_view(document_of(service, model), model.schema)
    return _page("docs.html", **_client_view(service, request), **view)


@router.route(
    "GET",
    "/docs/<protocol>",
    scope=PUBLIC,
    placeholders={"protocol": {"enum": [protocol.slug for protocol in PROTOCOLS]}},
    responses={200: response("The page of the protocol.", _TEXT, "text/html")},
    errors=("not_found", *MODEL_ERRORS),
    render_error=render_error,
)
def protocol_page(service: Service, request: ServiceRequest, protocol: str) -> ServiceResponse:
    """Return a page about a protocol of other servers: its routes and its specifications."""
    for known in PROTOCOLS:
        if known.slug == protocol:
            model = request.bind_model(service.models.get())
            documented = DocumentedModel(model, service.settings)
            view = build_protocol_view(known, service.routes, documented)
            return _page("protocol.html", **_client_view(service, request), **view)
    raise ApiError("not_found", "there is no page about this protocol; GET /docs links to them all")


@router.route(
    "GET",
    "/docs/page.css",
    scope=PUBLIC,
    responses={200: response("The style sheet.", _TEXT, "text/css")},
)
def style_sheet(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the style sheet of the pages."""
    return _static_file("page.css", "text/css; charset=utf-8")


@router.route(
    "GET",
    "/docs/try.js",
    scope=PUBLIC,
    responses={200: response("The script.", _TEXT, "text/javascript")},
)
def script(service: Service, request: ServiceRequest) -> ServiceResponse:
    """Return the script of the form that sends a record."""
    return _static_file("try.js", "text/javascript; charset=utf-8")


def _static_file(name: str, media_type: str) -> ServiceResponse:
    return ServiceResponse((_STATIC / name).read_bytes(), media_type=media_type)


def _client_view(service: Service, request: ServiceRequest) -> Json:
    """Return the template values of an example request: the address, and whether it needs a key."""
    base_url = f"{request.environ['wsgi.url_scheme']}://{get_host(request.environ)}"
    return {"base_url": base_url, "keys": service.keys.configured}
